"""Golden dialogues over HTTP: a ConfigMap, pods, and what they answer."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dialogue_operator import names
from dialogue_operator.api.status import RevisionRecord
from dialogue_operator.cluster import golden as module
from dialogue_operator.cluster.errors import Unavailable
from dialogue_operator.cluster.golden import run_golden
from dialogue_operator.cluster.patterns import found_in
from dialogue_operator.cluster.resources import CONFIG_MAP, POD, Resource
from dialogue_operator.rollout.revision import serving_spec
from support.objects import model
from support.prometheus import Web

REVISION, VARIANT = "aaaaaaaa", "bbbbbbbb"
MODEL = model(spec__preflight={"configMapName": "golden"})
Json = dict[str, Any]


def entry(name: str = "greets", **expect: Any) -> Json:
    return {"name": name, "messages": [{"role": "user", "content": name}], "expect": expect or {"notEmpty": True}}


@dataclass
class Api:
    """The API server as this sees it: one ConfigMap, one pod."""

    dialogues: Any = field(default_factory=lambda: [entry()])
    data: Json | None = field(default_factory=dict)
    ready: str = "True"

    async def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
        assert (resource, namespace, name) == (CONFIG_MAP, MODEL.namespace, "golden")
        return None if self.data is None else {"data": {"dialogues.json": json.dumps(self.dialogues)} | self.data}

    async def list(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None
    ) -> list[Json]:
        assert (resource, namespace) == (POD, MODEL.namespace)
        assert selector == {names.LABEL_MODEL: MODEL.name, names.LABEL_REVISION: REVISION}
        status = {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": self.ready}]}
        return [{"metadata": {"name": "pod"}, "status": status}]


def completion(text: str, tokens: int = 3) -> tuple[int, str]:
    return 200, json.dumps({"choices": [{"message": {"content": text}}], "usage": {"completion_tokens": tokens}})


@pytest.fixture
def pod() -> Iterator[Web]:
    """Says what it was asked."""
    web = Web(lambda path, body, headers: completion(json.loads(body)["messages"][-1]["content"]))
    yield web
    web.close()


async def run(pod: Web, api: Api, revision: str = REVISION, **more: Any) -> str:
    return await run_golden(api, MODEL, revision, REVISION, port=pod.port, **more)


async def test_all_that_is_asked_and_answered_well_passes(pod: Web) -> None:
    dialogues = [entry(f"d{number}", equals=f"d{number}", matches=r"^d\d+$") for number in range(100)]
    assert await run(pod, Api(dialogues)) == "Passed"
    asked = [json.loads(body) for body in pod.asked]
    assert sorted(one["messages"][0]["content"] for one in asked) == sorted(one["name"] for one in dialogues)
    assert {one["model"] for one in asked} == {MODEL.name}


async def test_without_preflight_nobody_is_asked(pod: Web) -> None:
    assert await run_golden(Api(), model(), REVISION, REVISION, port=pod.port) == "Passed"
    assert pod.asked == []


async def test_each_wrong_reply_is_named(pod: Web) -> None:
    found = await run(pod, Api([entry("a", equals="b"), entry("c"), entry("e", matches="f", maxTokens=2)]))
    assert found == (
        "2 of 3 golden dialogues failed: a: 'a' is not 'b'; e: 'e' does not match 'f', 'e' has 3 tokens, more than 2"
    )


async def test_what_went_wrong_fits_into_the_status(pod: Web) -> None:
    found = await run(pod, Api([entry(f"dialogue {number}", equals="x" * 80) for number in range(100)]))
    assert found.startswith("100 of 100 golden dialogues failed: dialogue 0: ")
    assert len(found) == 1000


@pytest.mark.parametrize(
    ("api", "reason"),
    [
        (Api(data=None), "there is no ConfigMap golden in namespace assistants"),
        (
            Api(dialogues=[]),
            "dialogues.json of ConfigMap golden: it must be a list of 1 to 100 dialogues, and it has 0",
        ),
        (
            Api([entry()] * 101),
            "dialogues.json of ConfigMap golden: it must be a list of 1 to 100 dialogues, and it has 101",
        ),
        (Api([entry(equal="a")]), "dialogues.json of ConfigMap golden: entry 1 (greets): expect has an unknown field"),
        (Api(data={"dialogues.json": None}), "ConfigMap golden has no key dialogues.json"),
        (Api(ready="False"), "no pod of revision aaaaaaaa is ready"),
    ],
)
async def test_what_cannot_be_asked_has_one_clear_reason(pod: Web, api: Api, reason: str) -> None:
    assert (await run(pod, api)).startswith(reason)
    assert pod.asked == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((400, '{"error": "bad"}'), 'status 400: {"error": "bad"}'),
        ((200, "<html>"), "the answer is no chat completion"),
        ((200, "[]"), "the answer is no chat completion"),
        ((200, '{"choices": [{"message": {"content": null}}]}'), "the answer is no chat completion"),
        ((302, ""), "status 302: "),
    ],
)
async def test_an_answer_that_is_none_is_said(pod: Web, answer: tuple[int, str], reason: str) -> None:
    pod.handle = lambda *_: answer
    assert await run(pod, Api()) == f"1 of 1 golden dialogues failed: greets: {reason}"
    assert len(pod.asked) == 1


async def test_a_busy_pod_is_asked_again(pod: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    pod.handle = lambda *_: (503, "busy") if len(pod.asked) < 3 else completion("fine")
    assert await run(pod, Api()) == "Passed"
    pod.handle = lambda *_: (503, "busy")
    assert await run(pod, Api()) == "1 of 1 golden dialogues failed: greets: status 503: busy"
    assert len(pod.asked) == 6


async def test_a_pod_that_hangs_or_is_gone_is_given_up(pod: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    pod.hangs = True
    assert await run(pod, Api(), seconds=0.3) == "1 of 1 golden dialogues failed: greets: no reply within 0.3 s"
    pod.close()
    assert "greets: Cannot connect to host" in await run(pod, Api())


async def test_an_api_server_that_does_not_answer_is_the_callers_business(pod: Web) -> None:
    class Broken(Api):
        async def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
            raise Unavailable("GET configmap", 0, "no answer")

    with pytest.raises(Unavailable):
        await run(pod, Broken())


def recording(seen: list[Mapping[str, str]]) -> Callable[[str, str, Mapping[str, str]], tuple[int, str]]:
    def handle(path: str, body: str, headers: Mapping[str, str]) -> tuple[int, str]:
        assert path == "/v1/chat/completions"
        seen.append(headers)
        return completion("fine")

    return handle


async def test_a_variant_is_asked_for_as_the_gateway_would(pod: Web) -> None:
    """Its pods know it only from the header."""
    seen: list[Mapping[str, str]] = []
    pod.handle = recording(seen)
    serving = serving_spec(model(spec__generation={"numBeams": 2}).spec)
    record = RevisionRecord(revision=VARIANT, serving=serving, pods=REVISION)
    arms = replace(MODEL, status=MODEL.status.model_copy(update={"revisions": (record,)}))
    assert await run_golden(Api(), arms, VARIANT, REVISION, port=pod.port) == "Passed"
    assert await run_golden(Api(), arms, REVISION, REVISION, port=pod.port) == "Passed"
    first, second = seen
    assert first[names.HEADER_REVISION] == VARIANT
    assert json.loads(first[names.HEADER_ARMS]) == {
        REVISION: [{"revision": VARIANT, "weight": 0, "generation": serving.generation.to_json()}]
    }
    assert (second[names.HEADER_REVISION], names.HEADER_ARMS in second) == (REVISION, False)


async def test_a_pattern_that_would_take_forever_is_ended() -> None:
    endless = ("(a+)+$", "a" * 200 + "b")
    assert await found_in([("b", "abc"), ("^b", "abc"), ("ü", "süß")]) == [True, False, True]
    assert await found_in([("b", "abc"), endless], seconds=0.5) == [False, False]
    assert await found_in([]) == []
