"""The operator counts and asks a real predictor: its page, its variants, its replies."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from dialogue_operator import names
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.status import RevisionRecord
from dialogue_operator.cluster.evidence.pods import PodPages
from dialogue_operator.cluster.golden import run_golden
from dialogue_operator.cluster.resources import CONFIG_MAP, Resource
from dialogue_operator.rollout.questions import Count
from dialogue_operator.rollout.revision import serving_spec
from support.objects import model
from support.serving import HELLO, NAME, REVISION, Predictor, serving
from support.tiny_bundles import tiny_bundle

VARIANT = "cafebabe"
Json = dict[str, Any]


@dataclass
class Api:
    """The API server: one pod, one ConfigMap."""

    dialogues: Json

    async def list(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None
    ) -> list[Json]:
        labels = {names.LABEL_MODEL: NAME, names.LABEL_REVISION: REVISION}
        ready = {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
        return [{"metadata": {"name": "pod", "uid": "uid", "labels": labels}, "status": ready}]

    async def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
        assert resource == CONFIG_MAP
        return {"data": {"dialogues.json": json.dumps([self.dialogues])}}


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    folder: Path = tmp_path_factory.mktemp("predictor")
    with serving(tiny_bundle(folder / "tiny").folder, folder) as running:
        running.wait_ready()
        yield running


def with_variant() -> DialogueModel:
    """Its status knows of a variant that writes three tokens at most."""
    found = model(NAME, spec__preflight={"configMapName": "golden"})
    shorter = serving_spec(model(spec__generation={"maxNewTokens": 3}).spec)
    record = RevisionRecord(revision=VARIANT, serving=shorter, pods=REVISION)
    return replace(found, status=found.status.model_copy(update={"revisions": (record,)}))


def golden(most: int) -> Json:
    messages = [{"role": "user", "content": "hello there"}]
    return {"name": "hello", "messages": messages, "expect": {"notEmpty": True, "maxTokens": most}}


async def test_a_predictors_page_is_what_tallies_are_made_of(predictor: Predictor) -> None:
    source = PodPages(Api({}), port=predictor.http_port)

    async def look() -> Any:
        revisions = {REVISION: REVISION, VARIANT: REVISION}
        found = await source.gather(model(NAME), Count(revisions, datetime.now(UTC), 1, 1, ()))
        assert found.problem == ""
        return found.tallies

    await look()
    generation = with_variant().status.revisions[0].serving.generation.to_json()
    arms = json.dumps({REVISION: [{"revision": VARIANT, "weight": 0, "generation": generation}]})
    async with httpx.AsyncClient(base_url=predictor.url) as client:
        for _ in range(3):
            assert (await client.post(names.CHAT_PATH, json=HELLO)).status_code == 200
        assert (await client.post(names.CHAT_PATH, json={**HELLO, "n": 7})).status_code == 400
        headers = {names.HEADER_ARMS: arms, names.HEADER_REVISION: VARIANT}
        answer = await client.post(names.CHAT_PATH, json=HELLO, headers=headers)
        assert answer.headers[names.HEADER_REVISION] == VARIANT
    found = await look()
    tally = found[REVISION]
    assert (tally.requests, tally.errors, tally.replies) == (3, 0, 3)
    assert tally.seconds.samples == tally.tokens.samples == 3
    assert (tally.seconds.total, tally.tokens.total) > (0, 3)
    assert tally.margins.samples == 3
    assert (found[VARIANT].requests, found[VARIANT].tokens.total) == (1, 3)


async def test_golden_dialogues_are_asked_of_a_revision_and_of_a_variant_in_its_pods(predictor: Predictor) -> None:
    async def run(most: int, revision: str) -> str:
        return await run_golden(Api(golden(most)), with_variant(), revision, REVISION, port=predictor.http_port)

    assert await run(256, REVISION) == "Passed"
    assert await run(3, VARIANT) == "Passed"
    assert "more than 3" in await run(3, REVISION)
    assert f"revision {REVISION} answered" in await run(3, "feedbeef")
