"""Every command of the README is run by a test: here those that need no cluster, in tests/e2e the rest."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from support.readme import ROOT, commands

SERVED = [c for c in commands() if "127.0.0.1:8080" in c]
OFFLINE = [c for c in commands() if c.startswith(".venv/bin/") and c not in SERVED]
ON_THE_DEMO = [c for c in commands() if c.startswith("kubectl")]
STARTERS = {"make demo", "make serve"}  # the fixtures of these tests run them


def run(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def served() -> Iterator[None]:
    """`make serve` as a newcomer runs it, up to its first reply."""
    if not (port_is_free(8080) and port_is_free(8081)):
        pytest.skip("ports 8080 and 8081, which the README names, are taken on this machine")
    began = time.monotonic()
    process = subprocess.Popen(
        ["make", "serve"], cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        while subprocess.run(
            ["bash", "-c", f"{SERVED[0]} --fail"], cwd=ROOT, capture_output=True, check=False
        ).returncode:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() - began < 120, "no reply within two minutes"
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


def test_every_command_of_the_readme_is_run_by_some_test() -> None:
    assert set(commands()) == {*SERVED, *OFFLINE, *ON_THE_DEMO, *STARTERS}


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("command", SERVED)
def test_what_make_serve_answers_is_a_reply(command: str) -> None:
    answer = run(command)
    if "stream" in command:
        events = [line.removeprefix("data: ") for line in answer.splitlines() if line.startswith("data: ")]
        assert events[-1] == "[DONE]"
        assert "".join(
            e["choices"][0]["delta"].get("content") or "" for e in map(json.loads, events[:-1]) if e["choices"]
        )
    elif command.startswith("curl"):
        assert json.loads(answer).keys() & {"choices", "predictions", "outputs"}
    else:
        assert answer.strip()


@pytest.mark.parametrize("command", OFFLINE)
def test_commands_that_need_no_server_print_something(command: str) -> None:
    assert run(command).strip()
