"""A bundle in an S3 store. The digest object is the claim on a version: it is written first, and only if nobody has it.

Whoever claims a version, or finds it claimed for the same content, then writes the files that are missing, each only if
it is not there. So two pushers of different content cannot both win, a push that was cut off is completed by pushing the
same content again, and until then the digest vouches for files that are not there: readers refuse the version.
"""

import hashlib
import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from dialogue_predictor.artifacts.bundle import CONTENT, DIGEST, Bundle
from dialogue_predictor.errors import BundleInvalid, BundleNotFound

ENDPOINT: Final = "AWS_ENDPOINT_URL"
MOST_BYTES: Final = 5 << 30  # of one upload, by the protocol
TAKEN: Final = ("PreconditionFailed", "ConditionalRequestConflict")  # the second: somebody writes it at this moment
MISSING: Final = ("NoSuchKey", "404")
TRIES: Final = 5


def split(uri: str) -> tuple[str, tuple[str, ...]]:
    """`s3://BUCKET/A/B` → BUCKET, (A, B). Raises BundleInvalid."""
    bucket, *prefix = uri.removeprefix("s3://").strip("/").split("/")
    if not bucket or not all(prefix) or ".." in prefix:
        raise BundleInvalid(f"{uri!r} is not s3://BUCKET or s3://BUCKET/PREFIX")
    return bucket, tuple(prefix)


def push(bundle: Bundle, bucket: str, key: str) -> bool:
    """Write what is missing of the version under `key`; whether anything was. Raises BundleInvalid."""
    with store() as client:
        claimed = put(client, bucket, f"{key}/{DIGEST}", bundle.folder / DIGEST)
        if not claimed and (there := read(client, bucket, f"{key}/{DIGEST}").decode(errors="replace").strip()) != (
            bundle.digest
        ):
            raise BundleInvalid(
                f"s3://{bucket}/{key} holds other content ({there}, not {bundle.digest}): "
                "a pushed version never changes, choose a new version"
            )
        return any([claimed, *(put_same(client, bucket, f"{key}/{name}", bundle.folder / name) for name in CONTENT)])


def pull(bucket: str, key: str, folder: Path) -> None:
    """Fetch the files under `key`, unverified. Raises BundleNotFound where there is no digest or a file is missing."""
    with store() as client:
        for name in (DIGEST, *CONTENT):
            try:
                client.download_file(bucket, f"{key}/{name}", str(folder / name))
            except client.exceptions.ClientError as error:
                if code(error) not in MISSING:
                    raise
                raise BundleNotFound(f"s3://{bucket}/{key}: {name} is missing; push the bundle again") from error


def put_same(client: Any, bucket: str, key: str, path: Path) -> bool:
    """Write the object unless it is there with the same bytes; whether it was written."""
    if put(client, bucket, key, path):
        return True
    found = hashlib.sha256()
    for piece in client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks():
        found.update(piece)
    if found.digest() != sha256(path):
        raise BundleInvalid(
            f"s3://{bucket}/{key} was there before, with other bytes; remove it or choose a new version"
        )
    return False


def put(client: Any, bucket: str, key: str, path: Path) -> bool:
    """Write the object if there is none under this key; whether it was written. The store checks the bytes."""
    if path.stat().st_size > MOST_BYTES:
        raise BundleInvalid(f"{path} is larger than the {MOST_BYTES >> 30} GiB of one upload; store it as fp16 or int8")
    for _ in range(TRIES):
        with path.open("rb") as body:
            try:
                client.put_object(
                    Bucket=bucket, Key=key, Body=body, IfNoneMatch="*",
                    ChecksumSHA256=b64encode(sha256(path)).decode("ascii"),
                )  # fmt: skip
                return True
            except client.exceptions.ClientError as error:
                if code(error) not in TAKEN:
                    raise
        if exists(client, bucket, key):  # else another upload of it was cut off: nobody has it
            return False
    raise BundleInvalid(f"s3://{bucket}/{key}: others keep writing it; try again")


def exists(client: Any, bucket: str, key: str) -> bool:
    try:
        client.head_object(Bucket=bucket, Key=key)
    except client.exceptions.ClientError as error:
        if code(error) in MISSING:
            return False
        raise
    return True


def read(client: Any, bucket: str, key: str) -> bytes:
    content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def store() -> Iterator[Any]:
    """A client for the store that the environment names; whatever it refuses becomes one BundleInvalid."""
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise BundleInvalid("s3:// needs boto3: pip install 'dialogue-serving[publish]'") from error
    try:
        yield boto3.session.Session().client("s3")  # not the default one, which threads must not share
    except (BotoCoreError, ClientError) as error:
        where = os.environ.get(ENDPOINT, "AWS")
        raise BundleInvalid(f"the S3 store at {where}: {' '.join(str(error).split())}") from error
