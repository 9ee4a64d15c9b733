"""Images as they were built: one uncompressed OCI layout in the cache, and the commands that write into it.

Uncompressed, because compressing a few GB takes longer than everything else and nothing here crosses a network.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.places import CACHE
from cluster.shell import Word, run

LAYOUT = CACHE / "layout"
PAUSE = "localhost/dialogue-serving/pause:1"
BUILDAH_ROOT, BUILDAH_RUN = CACHE / "buildah", CACHE / "buildah-run"
# buildah and skopeo mount their storage on itself and leave that behind: in a mount namespace of their own it goes
ALONE = ("unshare", "--mount", "--propagation=private", "--")


@dataclass(frozen=True)
class Image:
    tag: str
    entry: dict[str, Any]  # its line in the layout's index

    @property
    def digest(self) -> str:
        return str(self.entry["digest"])

    def blobs(self) -> list[str]:
        """Digests of everything it consists of: manifest, configuration, layers."""
        manifest = json.loads(blob(self.digest).read_text())
        return list(
            dict.fromkeys([self.digest, manifest["config"]["digest"], *(one["digest"] for one in manifest["layers"])])
        )


def images() -> dict[str, Image]:
    """The images in the layout by tag."""
    index = LAYOUT / "index.json"
    entries = json.loads(index.read_text())["manifests"] if index.exists() else []
    tagged = [(entry.get("annotations", {}).get("org.opencontainers.image.ref.name"), entry) for entry in entries]
    return {tag: Image(tag, entry) for tag, entry in tagged if tag}


def blob(digest: str) -> Path:
    return LAYOUT / "blobs" / digest.replace(":", "/")


def buildah_command(*words: Word) -> tuple[Word, ...]:
    return (*ALONE, "buildah", "--root", BUILDAH_ROOT, "--runroot", BUILDAH_RUN, *words)


def buildah(*words: Word) -> str:
    return run(*buildah_command(*words))


def from_buildah(tag: str) -> str:
    """Where skopeo finds an image that buildah made."""
    return f"containers-storage:[overlay@{BUILDAH_ROOT}+{BUILDAH_RUN}]{tag}"


def save(tag: str, source: str) -> None:
    """Write an image into the layout; only the layers it lacks are written."""
    LAYOUT.mkdir(parents=True, exist_ok=True)
    # not `buildah push`: into a layout that compresses every layer, every time
    run(*ALONE, "skopeo", "copy", "-q", "--dest-oci-accept-uncompressed-layers", source, f"oci:{LAYOUT}:{tag}")
