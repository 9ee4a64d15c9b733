"""`dialogue chat` against a real predictor."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from support.serving import HELLO, Predictor, environment, free_port


def chat(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dialogue_predictor.cli", "chat", *words]
    return subprocess.run(
        command, env=environment(), input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


def answer(predictor: Predictor, *messages: dict[str, str]) -> str:
    body = HELLO | {"messages": list(messages)}
    text: str = httpx.post(f"{predictor.url}/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
    return text


def test_once_prints_the_reply_and_leaves(predictor: Predictor) -> None:
    done = chat(predictor.url, "--once", "hello there")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == answer(predictor, {"role": "user", "content": "hello there"}) + "\n"


def test_a_talk_remembers_and_ends_with_the_input(predictor: Predictor) -> None:
    done = chat(predictor.url, "--model", "tiny", stdin="hello there\n\nbye\n")
    turns = [{"role": "user", "content": "hello there"}]
    first = answer(predictor, *turns)
    turns += [{"role": "assistant", "content": first}, {"role": "user", "content": "bye"}]
    assert done.returncode == 0
    assert done.stdout.startswith(first + "\n")
    if "\x00" not in first and all(ord(char) >= 32 for char in first):
        assert done.stdout == f"{first}\n{answer(predictor, *turns)}\n\n"


def test_nobody_there_is_one_line(predictor: Predictor) -> None:
    done = chat(f"http://127.0.0.1:{free_port()}", "--once", "hi")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_refusal_is_told_and_the_talk_goes_on(predictor: Predictor) -> None:
    done = chat(predictor.url, stdin="x" * 5000 + "\nhello there\n")
    assert done.returncode == 0
    assert done.stderr.startswith("error: messages[0].content")
    assert answer(predictor, {"role": "user", "content": "hello there"}) in done.stdout


def test_another_model_is_told(predictor: Predictor) -> None:
    done = chat(predictor.url, "--model", "other", "--once", "hi")
    assert done.returncode == 1
    assert "this server has 'tiny'" in done.stderr


class Recorder(BaseHTTPRequestHandler):
    """Answers every turn with one word and a revision; keeps what it was asked."""

    asked: list[tuple[str | None, list[str]]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.headers["x-dialogue-revision"], [message["content"] for message in body["messages"]]))
        chunk = {"choices": [{"delta": {"content": "fine"}}]}
        events = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()
        self.send_response(200)
        self.send_header("x-dialogue-revision", "cafecafe")
        self.send_header("content-length", str(len(events)))
        self.end_headers()
        self.wfile.write(events)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return None


@pytest.fixture
def recorder() -> Iterator[str]:
    Recorder.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_later_turns_stay_with_the_revision_of_the_first(recorder: str) -> None:
    done = chat(recorder, "--model", "any", stdin="one\ntwo\n")
    assert done.returncode == 0
    assert Recorder.asked == [(None, ["one"]), ("cafecafe", ["one", "fine", "two"])]


def test_a_new_conversation_forgets_the_turns_and_the_revision(recorder: str) -> None:
    done = chat(recorder, "--model", "any", stdin="one\n/new\ntwo\nthree\n")
    assert done.returncode == 0
    assert Recorder.asked == [(None, ["one"]), (None, ["two"]), ("cafecafe", ["two", "fine", "three"])]
