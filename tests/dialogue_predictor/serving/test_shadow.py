"""Copies for a shadow: what is copied, how it compares, and that no user ever notices."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from prometheus_client import CollectorRegistry

from dialogue_predictor.config.options import RequestOptions
from dialogue_predictor.config.spec import Generation
from dialogue_predictor.inference.request import ReplyRequest
from dialogue_predictor.serving.arms import Arm
from dialogue_predictor.serving.metrics import Metrics
from dialogue_predictor.serving.shadow import MOST_IN_FLIGHT, Mirror, Shadow, body_of, is_copied, read_shadow
from dialogue_predictor.text.dialogue import Turn
from support.gateway_part import arms, variant
from support.serving import HELLO, REVISION, Predictor, free_port, served
from support.tiny_bundles import tiny_bundle

SHADOW = "5badc0de"
ALL = {"x-dialogue-shadow": f"{SHADOW}:100"}
CHAT = "/v1/chat/completions"
OWN = Arm(REVISION, Generation())


@pytest.mark.parametrize("percent", [1, 9, 10, 99, 100])
def test_a_header_is_a_revision_and_a_percentage(percent: int) -> None:
    assert read_shadow(f"{SHADOW}:{percent}") == Shadow(SHADOW, percent)


@pytest.mark.parametrize(
    "header",
    ["", SHADOW, f"{SHADOW}:", f"{SHADOW}:0", f"{SHADOW}:05", f"{SHADOW}:101", f"{SHADOW}:1.5", f"{SHADOW}:5 ",
     f"{SHADOW}:5\n", "5BADC0DE:5", "evil.example.com/:5", "../5badc0d:5"],
)  # fmt: skip
def test_anything_else_is_none(header: str) -> None:
    with pytest.raises(ValueError, match="REVISION:PERCENT"):
        read_shadow(header)


@given(st.text(min_size=1), st.lists(st.text()), st.integers(1, 99))
def test_a_conversation_is_copied_whole_or_not_at_all(first: str, later: list[str], percent: int) -> None:
    turns = [Turn("system", "be brief"), Turn("user", first)]
    beginning = is_copied(turns, percent)
    turns += [Turn("user", text) for text in later]
    assert is_copied(turns, percent) == beginning
    assert is_copied(turns, 100)
    assert not beginning or is_copied(turns, percent + 1), "a greater share holds all of a smaller one"


def test_of_many_conversations_the_share_is_copied() -> None:
    copied = sum(is_copied([Turn("user", f"question {at}")], 20) for at in range(2000))
    assert 340 < copied < 460


def request(text: str = "hi", stop: tuple[str, ...] = (), **options: Any) -> ReplyRequest:
    turns = Turn("user", text), Turn("assistant", "hello"), Turn("user", "bye")
    return ReplyRequest(turns, Generation(**options), stop)


def test_a_copy_has_the_turns_and_what_the_user_chose() -> None:
    messages = [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}, {"role": "user", "content": "bye"},
    ]  # fmt: skip
    assert body_of("tiny", request(), OWN) == {"model": "tiny", "messages": messages}
    chosen = body_of("tiny", request(max_new_tokens=9, stop=(".",)), OWN)
    assert chosen == {"model": "tiny", "messages": messages, "max_tokens": 9, "stop": ["."]}
    assert body_of("tiny", request(num_beams=1), OWN) is None, "a chat completion cannot ask for beams"
    same, drawn = RequestOptions.of(Generation()), RequestOptions.of(Generation(), sample=True, seed=3)
    assert body_of("tiny", replace(request(), options=same), OWN) == {"model": "tiny", "messages": messages}
    assert body_of("tiny", replace(request(), options=drawn), OWN) is None, "a draw says nothing about the revision"


class Recorder:
    """A shadow that says what it is told to, and keeps what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status, self.said = 200, "whatever"
        self.asked: list[tuple[dict[str, str], Any]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()


@contextmanager
def recording() -> Iterator[Recorder]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard.asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
            heard.may_answer.wait(60)
            content = json.dumps({"choices": [{"message": {"content": heard.said}}]}).encode()
            self.send_response(heard.status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        heard = Recorder(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield heard
        finally:
            heard.may_answer.set()
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with recording() as recorder:
        yield recorder


@pytest.fixture(scope="module")
def shadowed(recorder: Recorder, bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    folder = tmp_path_factory.mktemp("shadowed")
    with served(folder, bundle=str(bundle_folder), shadow_at=recorder.url) as running:
        running.wait_ready()
        yield running


def wait_for(predictor: Predictor, result: str, count: float, revision: str = REVISION) -> None:
    sample = {"model": "tiny", "revision": revision, "shadow": SHADOW, "result": result}
    while predictor.metric("dialogue_shadow_total", **sample) < count:
        pass


def counts(predictor: Predictor) -> dict[str, float]:
    results = ("same", "different", "failed", "dropped")
    return {result: predictor.metric("dialogue_shadow_total", shadow=SHADOW, result=result) for result in results}


def test_the_same_reply_and_another_one(shadowed: Predictor, recorder: Recorder) -> None:
    before, copies = counts(shadowed), len(recorder.asked)
    body = HELLO | {"max_tokens": 5}
    recorder.said = httpx.post(shadowed.url + CHAT, json=body).json()["choices"][0]["message"]["content"]
    assert httpx.post(shadowed.url + CHAT, json=body, headers=ALL).status_code == 200
    wait_for(shadowed, "same", before["same"] + 1)
    recorder.said = "something else"
    assert httpx.post(shadowed.url + CHAT, json=body | {"stream": True}, headers=ALL).text.endswith("[DONE]\n\n")
    wait_for(shadowed, "different", before["different"] + 1)
    assert shadowed.metric("dialogue_shadow_seconds_count", revision=REVISION, shadow=SHADOW) >= 2
    headers, copy = recorder.asked[-1]
    assert copy == body
    assert len(recorder.asked) == copies + 2, "nothing is copied without the header"
    assert not {"x-dialogue-arms", "x-dialogue-shadow", "x-dialogue-revision"} & headers.keys()


def test_history_goes_along_whatever_the_protocol(shadowed: Predictor, recorder: Recorder) -> None:
    dialogue = [
        {"role": "user", "content": "hello there"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "bye"},
    ]  # fmt: skip
    before = counts(shadowed)["different"]
    body = {"instances": [{"messages": dialogue}], "parameters": {"maxNewTokens": 4}}
    assert httpx.post(f"{shadowed.url}/v1/models/tiny:predict", json=body, headers=ALL).status_code == 200
    wait_for(shadowed, "different", before + 1)
    assert recorder.asked[-1][1] == {"model": "tiny", "messages": dialogue, "max_tokens": 4}
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="messages", datatype="BYTES", shape=[1],
        contents=pb.InferTensorContents(bytes_contents=[json.dumps(dialogue).encode()]),
    )  # fmt: skip
    with grpc.insecure_channel(shadowed.target) as channel:
        metadata = tuple((ALL | arms(variant("00000001", 100))).items())
        message = pb.ModelInferRequest(model_name="tiny", inputs=[tensor])
        GRPCInferenceServiceStub(channel).ModelInfer(message, metadata=metadata)
    wait_for(shadowed, "different", 1, revision="00000001")
    assert recorder.asked[-1][1] == {"model": "tiny", "messages": dialogue}


def test_a_shadow_that_fails_or_is_away_harms_nobody(shadowed: Predictor, recorder: Recorder, tmp_path: Path) -> None:
    before = counts(shadowed)["failed"]
    recorder.status = 500
    assert httpx.post(shadowed.url + CHAT, json=HELLO, headers=ALL).status_code == 200
    wait_for(shadowed, "failed", before + 1)
    recorder.status = 200
    with served(tmp_path, backend="none", bundle=str(tiny_bundle(tmp_path / "b").folder),
                shadow_at=f"http://127.0.0.1:{free_port()}") as running:  # fmt: skip
        running.wait_ready()
        assert httpx.post(running.url + CHAT, json=HELLO, headers=ALL).status_code == 200
        wait_for(running, "failed", 1)
        assert running.metric("dialogue_requests_total", outcome="ok") == 1


def test_a_shadow_that_hangs_delays_nobody_and_copies_are_bounded(shadowed: Predictor, recorder: Recorder) -> None:
    before = counts(shadowed)
    recorder.may_answer.clear()
    body = HELLO | {"max_tokens": 1}
    for _ in range(MOST_IN_FLIGHT + 3):
        assert httpx.post(shadowed.url + CHAT, json=body, headers=ALL).status_code == 200
    assert counts(shadowed) == before | {"dropped": before["dropped"] + 3}
    recorder.may_answer.set()
    wait_for(shadowed, "different", before["different"] + MOST_IN_FLIGHT)


def test_a_predictor_that_is_its_own_shadow_copies_nothing(shadowed: Predictor, recorder: Recorder) -> None:
    copies = len(recorder.asked)
    itself = {"x-dialogue-shadow": f"{REVISION}:100"}
    before = counts(shadowed)["different"]
    assert httpx.post(shadowed.url + CHAT, json=HELLO, headers=itself).status_code == 200
    assert httpx.post(shadowed.url + CHAT, json=HELLO | {"max_tokens": 7}, headers=ALL).status_code == 200
    wait_for(shadowed, "different", before + 1)
    assert [body.get("max_tokens") for _, body in recorder.asked[copies:]] == [7]


def test_a_copy_is_answered_by_the_shadow_and_copied_no_further(
    shadowed: Predictor, bundle_folder: Path, tmp_path: Path
) -> None:
    """Two predictors of the same bundle: the replies are the same, and the shadow's own shadow gets nothing."""
    with recording() as beyond, served(tmp_path, bundle=str(bundle_folder), shadow_at=beyond.url) as shadow:
        shadow.wait_ready()
        with served(tmp_path, bundle=str(bundle_folder), shadow_at=shadow.url) as running:
            running.wait_ready()
            headers = ALL | arms(variant("00000001", 0, maxNewTokens=1))
            assert httpx.post(running.url + CHAT, json=HELLO, headers=headers).status_code == 200
            wait_for(running, "same", 1)
        assert httpx.post(shadow.url + CHAT, json=HELLO | {"max_tokens": 7}, headers=ALL).status_code == 200
        wait_for(shadow, "different", 1)
        assert [body.get("max_tokens") for _, body in beyond.asked] == [7]


async def test_closing_gives_up_what_is_in_flight() -> None:
    with recording() as heard:
        heard.may_answer.clear()
        mirror = Mirror("tiny", Metrics(CollectorRegistry(), "tiny", REVISION), lambda *_: heard.url)
        mirror.copy(Shadow(SHADOW, 100), OWN, request(), "said")
        async with asyncio.timeout(30):
            while not heard.asked:  # noqa: ASYNC110 - bounded
                await asyncio.sleep(0.01)
            await mirror.close()


def test_the_hash_does_not_change_with_a_release() -> None:
    """Two predictors must copy the same conversations, also while one of them is being upgraded."""
    assert hashlib.sha256(b"hello").digest()[:8] == bytes.fromhex("2cf24dba5fb0a30e")
    assert is_copied([Turn("user", "hello")], 43)
    assert not is_copied([Turn("user", "hello")], 42)
