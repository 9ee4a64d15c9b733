"""A bundle on disk: five files in a folder, whole or refused.

Everything here runs before torch is imported, so that a pod with the wrong bytes says so in a second and no
unverified byte reaches a parser of weights. Nothing in a bundle is code, and nothing is ever unpickled.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dialogue_predictor import names
from dialogue_predictor.artifacts.config import BundleConfig, Quantisation, read_config
from dialogue_predictor.artifacts.safety import check_safetensors
from dialogue_predictor.errors import BundleInvalid, BundleNotFound, DigestMismatch, SpecInvalid
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.text.style import PlainText

CARD: Final = "card.md"
CONFIG: Final = "config.json"
DIGEST: Final = "digest"
TOKENIZER: Final = "tokenizer.json"
WEIGHTS: Final = "model.safetensors"
CONTENT: Final = (CARD, CONFIG, WEIGHTS, TOKENIZER)  # in name order, as the digest reads them

BUILTIN: Final = "builtin://"
VOLUME: Final = "pvc://"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose bytes are those of its digest and whose config is understood."""

    folder: Path
    digest: str
    config: BundleConfig

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def version(self) -> str:
        return self.config.version

    @property
    def architecture(self) -> ModelConfig:
        return self.config.architecture

    @property
    def quantisation(self) -> Quantisation:
        return self.config.quantisation

    @property
    def text(self) -> PlainText | None:
        return self.config.text

    @property
    def tokenizer_path(self) -> Path:
        return self.folder / TOKENIZER

    @property
    def weights_path(self) -> Path:
        return self.folder / WEIGHTS


def locate(uri: str, model_dir: str = names.MODEL_DIR) -> Path:
    """The folder that a manifest's `spec.model.uri` means in this process.

    `builtin://NAME` is in this package, `pvc://CLAIM/PATH` is wherever the volume was mounted, anything without a scheme is
    a path. Raises BundleNotFound, or SpecInvalid on another scheme.
    """
    if uri.startswith(BUILTIN):
        folder = Path(__file__).parent / uri.removeprefix(BUILTIN)
        if folder.parent != Path(__file__).parent or not folder.is_dir():
            raise BundleNotFound(
                f"no bundle {uri}: {BUILTIN}default and {BUILTIN}default-1.1.0 come with the predictor"
            )
        return folder
    if uri.startswith(VOLUME):
        if not Path(model_dir).is_dir():
            raise BundleNotFound(f"{uri} is not mounted at {model_dir}: outside the cluster give a folder instead")
        return Path(model_dir)
    if "://" in uri:
        raise SpecInvalid(f"spec.model.uri: {uri!r} is none of {BUILTIN}NAME, {VOLUME}CLAIM/PATH or a folder")
    if not Path(uri).is_dir():
        raise BundleNotFound(f"no folder {uri}")
    return Path(uri)


def open_bundle(folder: Path | str, expected_digest: str | None = None) -> Bundle:
    """Verify every byte of a folder and read its config.

    Raises BundleNotFound, BundleInvalid naming the file and what to do, or DigestMismatch when the bytes are not those
    of the folder's own digest or of `expected_digest`.
    """
    folder = Path(folder)
    check_files(folder)
    digest = compute_digest(folder)
    if (recorded := read_digest(folder)) != digest:
        raise DigestMismatch(recorded, digest, f"{folder} against its own digest file")
    if expected_digest and expected_digest != digest:
        raise DigestMismatch(expected_digest, digest, f"{folder} against spec.model.digest")
    check_safetensors(folder / WEIGHTS)
    return Bundle(folder, digest, read_config(folder / CONFIG))


def read_digest(folder: Path) -> str:
    """What the `digest` file says, which need not be true."""
    return (folder / DIGEST).read_bytes().decode("ascii", errors="replace").removesuffix("\n")


def check_files(folder: Path) -> None:
    """Exactly the five files, nothing else: an unknown file is no part of the digest and so cannot be trusted."""
    if not folder.is_dir():
        raise BundleNotFound(f"no folder {folder}")
    present = {entry.name for entry in folder.iterdir()}
    if not present:  # the kubelet makes the folder of a volume that a Pod names and nobody has filled
        raise BundleNotFound(f"{folder} is empty; publish the bundle there, or correct spec.model.uri")
    for name in sorted((*CONTENT, DIGEST)):
        if name not in present:
            raise BundleInvalid(f"{folder}: {name} is missing; publish the bundle again")
        if (folder / name).is_symlink() or not (folder / name).is_file():
            raise BundleInvalid(f"{folder}: {name} is not a file; publish the bundle again")
    for name in sorted(present - {*CONTENT, DIGEST}):
        raise BundleInvalid(f"{folder}: unknown file {name}; a bundle holds only its five files, move it elsewhere")


def compute_digest(folder: Path) -> str:
    """`sha256:` of, for each content file in name order: name, NUL, size in decimal, NUL, SHA-256 of its bytes (raw)."""
    whole = hashlib.sha256()
    for name in CONTENT:
        with (folder / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        size = (folder / name).stat().st_size
        whole.update(name.encode() + b"\0" + str(size).encode() + b"\0" + content)
    return f"sha256:{whole.hexdigest()}"
