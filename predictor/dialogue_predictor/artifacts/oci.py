"""A bundle in an OCI image layout on disk: an artifact with one layer for each file, as the image specification 1.1 has it.

Tools for registries (oras, skopeo, crane) copy it from there. Blobs are named by their content and come first; the index
is replaced last and at once, under a lock on the folder, so that a push that is cut off leaves nothing that is listed.
"""

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Final

from dialogue_predictor.artifacts.bundle import CONTENT, DIGEST, Bundle
from dialogue_predictor.errors import BundleInvalid, BundleNotFound

ARTIFACT: Final = "application/vnd.dialogue.bundle.v1"
FILE: Final = "application/vnd.dialogue.bundle.file.v1"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
LAYOUT: Final[dict[str, Any]] = {"imageLayoutVersion": "1.0.0"}
TITLE: Final = "org.opencontainers.image.title"
VERSION: Final = "org.opencontainers.image.version"
REF: Final = "org.opencontainers.image.ref.name"
CONTENT_DIGEST: Final = "vnd.dialogue.bundle.digest"
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
SHA256: Final = re.compile("sha256:[0-9a-f]{64}")

Json = dict[str, Any]


def split(uri: str, tag: str | None) -> tuple[Path, str]:
    """`oci:FOLDER:TAG` or `oci:FOLDER`, which means the tag given here. Raises BundleInvalid."""
    folder, colon, said = uri.removeprefix("oci:").rpartition(":")
    if not colon or "/" in said:
        folder, said = uri.removeprefix("oci:"), tag or ""
    if not folder or not TAG.fullmatch(said):
        raise BundleInvalid(f"{uri!r} is not oci:FOLDER:TAG, with a tag of letters, digits, '.', '_' and '-'")
    return Path(folder), said


def push(bundle: Bundle, folder: Path, tag: str) -> bool:
    """Add the bundle under `tag`; whether anything was written. Raises BundleInvalid where the tag or version is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        index = read_index(folder)
        for entry in index["manifests"]:
            said = entry.get("annotations", {})
            same_version = (said.get(TITLE), said.get(VERSION)) == (bundle.name, bundle.version)
            if (said.get(REF) == tag or same_version) and said.get(CONTENT_DIGEST) != bundle.digest:
                raise BundleInvalid(
                    f"oci:{folder}:{said.get(REF)} holds other content ({said.get(CONTENT_DIGEST)}, not {bundle.digest}): "
                    "a pushed version never changes, choose a new version and tag"
                )
        about = {TITLE: bundle.name, VERSION: bundle.version, CONTENT_DIGEST: bundle.digest}
        layers = [
            blob_of(folder, bundle.folder / name) | {"mediaType": FILE, "annotations": {TITLE: name}}
            for name in (*CONTENT, DIGEST)
        ]
        manifest = blob_from(folder, {
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": ARTIFACT,
            "config": blob_from(folder, {}) | {"mediaType": EMPTY}, "layers": layers, "annotations": about,
        })  # fmt: skip
        entry = manifest | {"mediaType": MANIFEST, "artifactType": ARTIFACT, "annotations": about | {REF: tag}}
        if entry in index["manifests"]:
            return False
        write_json(folder / "oci-layout", LAYOUT)
        write_json(folder / "index.json", index | {"manifests": [*index["manifests"], entry]})
        return True


def pull(folder: Path, tag: str, into: Path) -> None:
    """Copy the files of a tag, each checked against its own digest. Raises BundleNotFound or BundleInvalid."""
    entries = [one for one in read_index(folder)["manifests"] if one.get("annotations", {}).get(REF) == tag]
    if not entries:
        raise BundleNotFound(f"no {tag} in the OCI layout {folder}")
    manifest = as_object(blob_path(folder, entries[0]))
    if manifest.get("artifactType") != ARTIFACT:
        raise BundleInvalid(f"oci:{folder}:{tag} is not a bundle: its artifactType is {manifest.get('artifactType')!r}")
    for layer in manifest.get("layers", []):
        name = layer.get("annotations", {}).get(TITLE)
        if name not in (*CONTENT, DIGEST):
            raise BundleInvalid(f"oci:{folder}:{tag} holds {name!r}, which is no file of a bundle")
        shutil.copyfile(blob_path(folder, layer), into / name)


def read_index(folder: Path) -> Json:
    path = folder / "index.json"
    if not path.exists():
        if any(folder.glob("[!.]*")) and not (folder / "blobs").is_dir():
            raise BundleInvalid(f"{folder} holds something else than an OCI layout; choose a new folder")
        return {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    index = as_object(path)
    if not isinstance(index.get("manifests"), list) or not all(isinstance(one, dict) for one in index["manifests"]):
        raise BundleInvalid(f"{path} is not the index of an OCI layout")
    return index


def as_object(path: Path) -> Json:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleInvalid(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise BundleInvalid(f"{path} is not a JSON object")
    return values


def blob_path(folder: Path, descriptor: Json) -> Path:
    """The blob of a descriptor, its bytes checked."""
    digest = str(descriptor.get("digest"))
    if not SHA256.fullmatch(digest):
        raise BundleInvalid(f"{folder}: {digest!r} is no SHA-256 digest")
    path = folder / "blobs" / digest.replace(":", "/")
    if not path.is_file():
        raise BundleNotFound(f"{folder}: the blob {digest} is missing; push the bundle again")
    if sha256(path) != digest:
        raise BundleInvalid(f"{path} does not have the bytes of its name; push the bundle to a new layout")
    return path


def blob_of(folder: Path, path: Path) -> Json:
    """Keep a copy of the file under its digest; its descriptor without a media type."""
    digest = sha256(path)
    target = folder / "blobs" / digest.replace(":", "/")
    if not target.exists() or sha256(target) != digest:
        with path.open("rb") as content:
            write(target, content)
    return {"digest": digest, "size": path.stat().st_size}


def blob_from(folder: Path, values: Json) -> Json:
    content = json.dumps(values, separators=(",", ":"), sort_keys=True).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    write(folder / "blobs" / digest.replace(":", "/"), io.BytesIO(content))
    return {"digest": digest, "size": len(content)}


def write_json(path: Path, values: Json) -> None:
    write(path, io.BytesIO(json.dumps(values, indent=2).encode()))


def write(path: Path, content: IO[bytes]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One pusher at a time; the lock goes with the process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
