"""A real S3 store over a folder, on loopback: Versity's gateway, compiled like everything else from the Go module proxy."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError

from support import programs

BUCKET = "models"
PATIENCE_SECONDS = 30.0
KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "of-this-test-alone", "AWS_REGION": "us-east-1"}


@contextmanager
def s3_store(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of its clients; the store has one bucket, `BUCKET`. The test is skipped without the program."""
    program = programs.require("versitygw")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = KEYS | {"AWS_ENDPOINT_URL": f"http://{address}"}
    (folder / "data").mkdir()
    (folder / "attributes").mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            (program, "--quiet", "--port", address, "posix", "--sidecar", folder / "attributes", folder / "data"),
            env={**os.environ, "ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        make_bucket(client(environment), process, folder / "log")
        yield environment
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def client(environment: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )


def make_bucket(store: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    """As soon as the store listens."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            store.create_bucket(Bucket=BUCKET)
            return
        except BotoCoreError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the S3 store does not answer: {error}\n{log.read_text()}")
            time.sleep(0.05)
