"""Push a bundle to where others pull it from: a folder, an S3 store or an OCI layout, as NAME/VERSION.

A pushed version never changes. Pushing the same content again changes nothing, and completes a push that was cut off;
other content is refused, also where two push at once. What is half there is refused by everyone who reads it, because
the digest speaks of every file.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from dialogue_predictor.artifacts import oci, s3
from dialogue_predictor.artifacts.bundle import Bundle, open_bundle
from dialogue_predictor.artifacts.publish import publish
from dialogue_predictor.errors import BundleInvalid

S3: Final = "s3://"
OCI: Final = "oci:"
PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class Pushed:
    """Where the version is; `fresh` is false when it was there already and nothing had to be written."""

    where: str
    fresh: bool


def push(bundle: Bundle, destination: str) -> Pushed:
    """Push to `s3://BUCKET/PREFIX`, `oci:FOLDER:TAG` or a folder. Raises BundleInvalid."""
    for field, value in (("name", bundle.name), ("version", bundle.version)):
        if not PART.fullmatch(value):
            raise BundleInvalid(
                f"{bundle.folder}: {field} {value!r} cannot be part of a path; "
                "build or publish the bundle with one of letters, digits, '.', '_' and '-'"
            )
    if destination.startswith(S3):
        bucket, prefix = s3.split(destination)
        key = "/".join((*prefix, bundle.name, bundle.version))
        return Pushed(f"{S3}{bucket}/{key}", s3.push(bundle, bucket, key))
    if destination.startswith(OCI):
        folder, tag = oci.split(destination, f"{bundle.name}-{bundle.version}")
        return Pushed(f"{OCI}{folder}:{tag}", oci.push(bundle, folder, tag))
    target = Path(destination) / bundle.name / bundle.version
    there = target.is_dir() and any(target.iterdir())
    publish(bundle.folder, target)
    return Pushed(str(target), not there)


def pull(source: str, folder: Path) -> Bundle:
    """Fetch `s3://BUCKET/PREFIX/NAME/VERSION` or `oci:FOLDER:TAG` into the new folder `folder`, verified."""
    with TemporaryDirectory(prefix="dialogue-bundle-") as scratch:
        fetched = Path(scratch)
        if source.startswith(S3):
            bucket, key = s3.split(source)
            s3.pull(bucket, "/".join(key), fetched)
        elif source.startswith(OCI):
            oci.pull(*oci.split(source, None), fetched)
        else:
            raise BundleInvalid(f"{source} is neither {S3}BUCKET/PREFIX/NAME/VERSION nor {OCI}FOLDER:TAG")
        open_bundle(fetched)
        return publish(fetched, folder)
