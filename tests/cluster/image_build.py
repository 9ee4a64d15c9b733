"""Building an image from a Dockerfile and bringing it to the cluster: with docker where it runs, else with buildah.

buildah never pulls here and needs no daemon; RUN steps reach the package index as this machine does.
"""

import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from cluster import base_images, store, tools
from cluster.console import say
from cluster.oci import buildah_command, from_buildah, images, save
from cluster.shell import attempt, run_long
from cluster.versions import REAL

TRUST = "/etc/ssl/certs/ca-certificates.crt"


def build(tag: str, dockerfile: Path, context: Path, arguments: list[str]) -> None:
    """`arguments` are NAME=VALUE as for `docker build --build-arg`."""
    tools.require_namespaces()
    tools.require_packages(REAL)
    began = time.monotonic()
    build_arguments = [f"--build-arg={one}" for one in arguments]
    source = _with_docker if attempt("docker", "info") is not None else _with_buildah
    where = source(tag, ["--file", str(dockerfile), "--tag", tag, *build_arguments, str(context)])
    built = time.monotonic()
    before = images().get(tag)
    save(tag, where)
    saved = time.monotonic()
    unchanged = before is not None and before.digest == images()[tag].digest
    count = store.give_to_running_nodes([tag])
    if not count:
        store.fill()  # now, where it is expected to take a while, and not at the next `up`
    done = time.monotonic()
    where_to = f"given to {count} node(s)" if count else "unpacked for the next `up`"
    say(
        f"{tag}: built in {built - began:.1f} s, saved in {saved - built:.1f} s, {where_to} in {done - saved:.1f} s"
        + ("; nothing had changed" if unchanged else "")
    )


def _with_docker(tag: str, words: list[str]) -> str:
    run_long("docker", "build", *words, env=os.environ, show=True, progress=_progress(tag))
    return f"docker-daemon:{tag}"


def _with_buildah(tag: str, words: list[str]) -> str:
    base_images.ensure_python()
    trusted = ssl.get_default_verify_paths().cafile  # what this machine trusts, for the RUN steps alone
    volume = ["--volume", f"{os.path.realpath(trusted)}:{TRUST}:ro"] if trusted else []
    command = buildah_command(
        "build", "--pull-never", "--layers", "--force-rm", "--isolation=chroot", "--network=host", *volume
    )
    run_long(*command, *words, env=os.environ, show=True, progress=_progress(tag))
    return from_buildah(tag)


def _progress(tag: str) -> Callable[[float], str]:
    return lambda seconds: f"{tag}: {seconds:.0f} s so far"
