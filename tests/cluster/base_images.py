"""The two images everything starts from: the pause container, and Python for images that are built without a registry."""

import os
import shutil

from cluster import tools
from cluster.console import duration, say
from cluster.oci import ALONE, PAUSE, buildah, buildah_command, from_buildah, images, save
from cluster.places import CACHE
from cluster.shell import attempt, run, run_long

PYTHON = "docker.io/library/python:3.11-slim"
DEBIAN = "bookworm"  # the Debian release whose Python is 3.11
PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"
PATHS = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
DEBOOTSTRAP_SECONDS = 80

# Holds a pod's namespaces open, and waits for the children that its containers leave behind.
PAUSE_SOURCE = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if pid, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 {
				break
			}
		}
	}
}
"""


def ensure_pause() -> None:
    if PAUSE in images():
        return
    folder = CACHE / "pause"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.go").write_text(PAUSE_SOURCE)
    go_environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    run(
        tools.go(),
        "build",
        "-trimpath",
        "-ldflags=-s -w",
        "-o",
        folder / "pause",
        "main.go",
        cwd=folder,
        env=go_environment,
    )
    container = buildah("from", "scratch").strip()
    buildah("copy", container, folder / "pause", "/pause")
    buildah("config", "--entrypoint", '["/pause"]', container)
    buildah("commit", "--rm", container, PAUSE)
    save(PAUSE, from_buildah(PAUSE))


def ensure_python() -> None:
    """Pull python:3.11-slim, or where no registry answers make a stand-in from Debian's packages under the same name."""
    if attempt(*buildah_command("images", "-q", PYTHON)):
        return
    if attempt("timeout", "60", *buildah_command("pull", "-q", PYTHON)) is None:
        say(f"{PYTHON} cannot be pulled: making it from Debian's packages")
        _python_from_debian()


def _python_from_debian() -> None:
    root = CACHE / "rootfs"
    shutil.rmtree(root, ignore_errors=True)
    # where this machine gets its own packages from
    mirror = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()[0]
    run_long(
        *ALONE,
        "debootstrap",
        "--variant=minbase",
        f"--include={PACKAGES}",
        DEBIAN,
        root,
        mirror,
        env=os.environ,
        progress=lambda seconds: f"debootstrap: {seconds:.0f} s of about {duration(DEBOOTSTRAP_SECONDS)}",
    )
    for pattern in ("usr/lib/python3*/EXTERNALLY-MANAGED", "var/cache/apt/archives/*.deb", "var/lib/apt/lists/*_*"):
        for file in root.glob(pattern):
            file.unlink()
    (root / "usr/bin/python").symlink_to("python3")
    container = buildah("from", "scratch").strip()
    buildah("add", container, root, "/")
    buildah("config", "--cmd", "python3", "--env", f"PATH={PATHS}", container)
    buildah("commit", "--rm", container, PYTHON)
    shutil.rmtree(root)
