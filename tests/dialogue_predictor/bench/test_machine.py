"""What is said of the machine."""

import os
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError

from dialogue_predictor.bench.machine import (
    busy_seconds,
    cores,
    describe,
    field,
    process_seconds,
    versions,
    wait_until_quiet,
)


def version(library: str) -> str:
    if library == "absent":
        raise PackageNotFoundError
    return "1.2"


def test_absent_libraries_are_named_too() -> None:
    assert versions(("here", "absent"), version) == "here 1.2, no absent"


def test_the_description_has_cores_and_day() -> None:
    text = describe(datetime(2030, 1, 2, tzinfo=UTC))
    assert text.startswith(f"{cores()} cores of ")
    assert text.endswith("; 2030-01-02")


def test_a_field_of_cpuinfo() -> None:
    text = "processor\t: 0\nmodel name\t: Some CPU @ 2\nflags\t\t: a b\n"
    assert field(text, "model name") == "Some CPU @ 2"
    assert field(text, "flags") == "a b"
    assert field(text, "speed") is None


def test_work_is_counted_for_the_process_and_the_machine() -> None:
    before, own = busy_seconds(), process_seconds(os.getpid())
    while process_seconds(os.getpid()) - own < 0.1:
        sum(range(10_000))
    assert busy_seconds() - before >= 0.05  # both count in hundredths


def test_waiting_for_quiet_ends() -> None:
    began = time.monotonic()
    wait_until_quiet(most=0.01, look=0.001)
    assert time.monotonic() - began < 5
