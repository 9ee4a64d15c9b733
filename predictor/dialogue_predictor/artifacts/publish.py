"""Put a bundle where predictors read it: whole, once, and never changed again.

A folder appears under its name by one rename, so a pod that starts meanwhile finds either nothing or all of it. A
published folder is a version: the same content again is fine, other content is refused.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dialogue_predictor.artifacts.bundle import (
    CARD,
    CONFIG,
    CONTENT,
    DIGEST,
    TOKENIZER,
    WEIGHTS,
    Bundle,
    compute_digest,
    open_bundle,
)
from dialogue_predictor.artifacts.config import BundleConfig, Quantisation, read_values
from dialogue_predictor.errors import BundleInvalid
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.text.style import PlainText


def write_bundle(
    destination: Path,
    name: str,
    version: str,
    architecture: ModelConfig,
    tokenizer: Path,
    save_weights: Callable[[Path], None],
    card: str,
    quantisation: Quantisation = Quantisation(),  # noqa: B008 - frozen
    text: PlainText | None = None,
) -> Bundle:
    """A new bundle from its parts; `save_weights` writes the safetensors file it is given, as `quantisation` says."""
    config = BundleConfig(name, version, architecture, quantisation, text)

    def fill(folder: Path) -> None:
        shutil.copyfile(tokenizer, folder / TOKENIZER)
        (folder / CARD).write_text(card, encoding="utf-8")
        write_json(folder / CONFIG, config.to_dict())
        save_weights(folder / WEIGHTS)

    return place(destination, fill)


def publish(source: Path, destination: Path, version: str | None = None) -> Bundle:
    """Copy a verified bundle to the folder `destination`, with a new version string when one is given.

    Returns the bundle as published. Raises BundleInvalid when `destination` holds anything else.
    """
    bundle = open_bundle(source)

    def fill(folder: Path) -> None:
        for name in CONTENT:
            shutil.copyfile(source / name, folder / name)
        if version is not None and version != bundle.version:
            write_json(folder / CONFIG, read_values(source / CONFIG) | {"version": version})

    return place(destination, fill)


def place(destination: Path, fill: Callable[[Path], None]) -> Bundle:
    """Fill a folder beside `destination`, seal it with its digest, flush it to disk and rename it into place."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    try:
        fill(fresh)
        (fresh / DIGEST).write_text(compute_digest(fresh) + "\n", encoding="ascii")
        bundle = open_bundle(fresh)
        for name in (*CONTENT, DIGEST):
            (fresh / name).chmod(0o644)
            flush(fresh / name)
        fresh.chmod(0o755)
        try:
            fresh.rename(destination)  # takes the place of an empty folder, and of nothing else
        except OSError:
            return existing(destination, bundle.digest)
        flush(destination.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return open_bundle(destination)


def existing(destination: Path, digest: str) -> Bundle:
    """The bundle that is at `destination` already, provided that it is the one to be published."""
    if not destination.exists():
        raise BundleInvalid(f"{destination} cannot be written: is its volume read-only?")
    found = open_bundle(destination)
    if found.digest != digest:
        raise BundleInvalid(
            f"{destination} holds another bundle ({found.digest}, not {digest}): "
            "a published version never changes, choose a new folder"
        )
    return found


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def flush(path: Path) -> None:
    """fsync a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
