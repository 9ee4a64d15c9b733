"""Images as containerd keeps them: unpacked once in the cache, mounted into every node.

Without it every `up` would unpack gigabytes again, and every node for itself.
"""

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.console import ClusterError, duration, say
from cluster.oci import BUILDAH_ROOT, BUILDAH_RUN, LAYOUT, Image, blob, images
from cluster.places import CACHE, STATE, nodes
from cluster.shell import Word, attempt, run

STORE = CACHE / "store"
SNAPSHOTS = "io.containerd.snapshotter.v1.overlayfs/snapshots"
NOTE = STORE / "loaded.json"  # {tag: digest} of what the store holds
BYTES_A_SECOND = 40e6  # measured: reading, hashing and unpacking on two cores


def answers(socket: Path) -> bool:
    return attempt("ctr", "-a", socket, "version") is not None


def fill() -> None:
    """Bring the store up to date with the layout."""
    STORE.mkdir(parents=True, exist_ok=True)
    loaded = json.loads(NOTE.read_text()) if NOTE.exists() else {}
    wanted = images()
    todo = [image for tag, image in wanted.items() if loaded.get(tag) != image.digest]
    if not todo:
        return
    with _containerd() as socket:
        _send(socket, todo)
    NOTE.write_text(json.dumps({tag: image.digest for tag, image in wanted.items()}))
    _share_blobs()


def clean() -> None:
    """Forget every image and what building them left; replaced layers stay in the cache until then."""
    if STATE.exists():
        raise ClusterError("a cluster is up and its nodes use the images; run `down` first")
    for folder in (STORE, LAYOUT, BUILDAH_ROOT, BUILDAH_RUN):
        shutil.rmtree(folder, ignore_errors=True)


def copy_to(folder: Path) -> None:
    """Give a node its own databases, links to the blobs, and empty folders to mount the unpacked layers on.

    Layers stay where they are: tens of thousands of files, even as hard links, take longer than the rest of `up`.
    """

    def link(source: str, target: str) -> None:
        if source.endswith(".db") or STORE.stat().st_dev != folder.parent.stat().st_dev:
            shutil.copy(source, target)
        else:
            os.link(source, target)

    layers = STORE / SNAPSHOTS
    skip_layers = shutil.ignore_patterns("snapshots")
    shutil.copytree(STORE, folder, ignore=skip_layers, copy_function=link)
    for layer in layers.iterdir():
        (folder / SNAPSHOTS / layer.name).mkdir(parents=True)


def mount_layers(folder: Path) -> str:
    """A shell command that mounts the layers into a node's copy, read-only; for the node's own mount namespace."""
    target = f"{folder}/{SNAPSHOTS}/${{layer##*/}}"
    return f"for layer in {STORE}/{SNAPSHOTS}/*; do mount --bind -o ro $layer {target}; done"


def give_to_running_nodes(tags: Collection[str]) -> int:
    """Import images where a node runs; returns the number of nodes."""
    wanted = [image for tag, image in images().items() if tag in tags]
    running = [node for node in nodes() if node.socket.exists() and answers(node.socket)]
    for node in running:
        _send(node.socket, wanted)
    return len(running)


def _send(socket: Path, wanted: list[Image]) -> None:
    """Import images, sending only what this containerd lacks: after a change of source that is a small layer."""
    have = set(run(*_ctr(socket), "content", "ls", "-q").split())
    for image in wanted:
        missing = [digest for digest in image.blobs() if digest not in have]
        size = sum(blob(digest).stat().st_size for digest in missing)
        if size > 100e6:
            say(f"unpacking {image.tag}: {size / 1e9:.1f} GB, about {duration(size / BYTES_A_SECOND)}, once")
        with _holding(socket, image.tag):
            _import(socket, image, missing)
        have.update(missing)


@contextmanager
def _holding(socket: Path, tag: str) -> Iterator[None]:
    """Keep what the tag names now until the new image is unpacked.

    Otherwise the garbage collector may take the old image's layers in the moment between, and the new image's top
    layer finds nothing to stand on.
    """
    previous = f"{tag}-previous"
    held = attempt(*_ctr(socket), "images", "tag", "--force", tag, previous) is not None
    yield
    if held:
        run(*_ctr(socket), "images", "rm", previous)


def _import(socket: Path, image: Image, missing: list[str]) -> None:
    command = [str(word) for word in (*_ctr(socket), "images", "import", "-")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as ctr:
        if ctr.stdin is None or ctr.stderr is None:
            raise ClusterError("no pipe to ctr")
        with ctr.stdin as pipe, tarfile.open(fileobj=pipe, mode="w|", bufsize=1 << 20) as tar:
            _write(tar, image, missing)
        said = ctr.stderr.read().decode(errors="replace")
    if ctr.returncode:
        raise ClusterError(f"import of {image.tag} failed: {said[-500:]}")


def _ctr(socket: Path) -> tuple[Word, ...]:
    return ("ctr", "-a", socket, "-n", "k8s.io")


def _write(tar: tarfile.TarFile, image: Image, missing: list[str]) -> None:
    """An OCI archive that lists every layer and carries the missing ones: containerd is content with what is there."""
    index = {
        "schemaVersion": 2,
        "manifests": [{**image.entry, "annotations": {"io.containerd.image.name": image.tag}}],
    }
    for name, content in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index)):
        data = json.dumps(content).encode()
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    for digest in missing:
        tar.add(blob(digest), "blobs/" + digest.replace(":", "/"))


@contextmanager
def _containerd() -> Iterator[Path]:
    """A containerd of its own over the store, only for imports; yields its socket."""
    state = Path(tempfile.mkdtemp(prefix="dialogue-store-", dir="/tmp"))
    (state / "toml").write_text(f"""version = 2
root = "{STORE}"
state = "{state}/c"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{state}/sock"
""")
    command = ["unshare", "--mount", "--propagation=private", "containerd", "--config", str(state / "toml")]
    try:
        with (state / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                while not answers(state / "sock"):
                    if process.poll() is not None:
                        raise ClusterError(f"containerd: {(state / 'log').read_text(errors='replace')[-1000:]}")
                    time.sleep(0.05)
                yield state / "sock"
            finally:
                process.terminate()
    finally:
        shutil.rmtree(state)


def _share_blobs() -> None:
    """The layout and the store hold the same blobs: once on the disk is enough."""
    for ours in (LAYOUT / "blobs/sha256").iterdir():
        theirs = STORE / "io.containerd.content.v1.content/blobs/sha256" / ours.name
        if theirs.exists() and not theirs.samefile(ours) and theirs.stat().st_dev == ours.stat().st_dev:
            os.link(theirs, f"{ours}.new")
            os.rename(f"{ours}.new", ours)
