"""Good and bad specs: the API server and our own reading agree on each, and refuse in a sentence that names the field."""

from collections import Counter
from typing import Any

import pytest

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.cli.first_plan import settled_plan
from dialogue_operator.cli.manifests import NotUsable, model_of
from dialogue_operator.render.objects import immutable_objects, route_objects
from dialogue_operator.render.routes import GatewayRef
from support.apiserver import ApiServer
from support.dry_run import Answer, create_dry
from support.objects import manifest
from support.specs import generated, golden
from support.world import World

GOLDEN = golden()
SEED = 20261122
COUNT = 2400
GATEWAY = GatewayRef("edge", "infra", "example.com")


def _problems(document: Any) -> list[str]:
    try:
        model_of(document, "default")
    except NotUsable as error:
        return error.problems
    return []


def _render(model: DialogueModel) -> None:
    plan = settled_plan(model, GATEWAY.domain, "example.com/predictor:1")
    assert sum(weight for _, weight in plan.traffic) == 100
    assert immutable_objects(model, plan)
    assert route_objects(model, plan, GATEWAY)


def _live(spec: dict[str, Any]) -> None:
    """A first revision, then a second one, while pods come up, gates have nothing to go by, and time passes."""
    world = World(spec={"spec": spec})
    for change in ({}, {"spec__model__version": "9.9.9"}):
        world.edit(**change)
        for _ in range(25):
            world.come_up()
            world.accept()
            decision = world.step()
            assert sum(weight for _, weight in decision.plan.traffic) in {0, 100}
            world.wait(max(120.0, decision.wake_after or 0))
        assert world.status.stable_revision


@pytest.mark.parametrize("one", GOLDEN, ids=lambda one: one["name"])
def test_a_golden_spec_is_read_or_refused_in_one_sentence(one: dict[str, Any]) -> None:
    problems = _problems({**manifest(), "spec": one["spec"]})
    if "refused" not in one:
        assert problems == []
        return
    [problem] = problems
    field, _, text = problem.partition(": ")
    assert field == one["refused"]["field"]
    assert one["refused"]["says"] in text


def test_the_golden_specs_are_many_and_have_names_of_their_own() -> None:
    assert len(GOLDEN) >= 60
    assert len({one["name"] for one in GOLDEN}) == len(GOLDEN)


@pytest.mark.parametrize("one", [one for one in GOLDEN if "refused" not in one], ids=lambda one: one["name"])
def test_a_golden_spec_that_is_taken_is_rolled_out(one: dict[str, Any]) -> None:
    _render(model_of({**manifest(), "spec": one["spec"]}, "default"))
    _live(model_of({**manifest(), "spec": one["spec"]}, "default").spec.to_json())


def test_generated_specs_are_rolled_out_or_refused_in_sentences() -> None:
    seen: Counter[str] = Counter()
    for document in generated(COUNT, SEED):
        problems = _problems(document)
        assert all(problem.startswith("spec") and "\n" not in problem for problem in problems), problems
        seen["refused" if problems else "taken"] += 1
        if not problems:
            model = model_of(document, "default")
            _render(model)
            if seen["taken"] % 40 == 0:
                _live(model.spec.to_json())
    assert min(seen["taken"], seen["refused"]) > COUNT / 4, seen


@pytest.mark.cluster
async def test_the_api_server_answers_golden_specs_as_we_do(api: ApiServer) -> None:
    answers = await create_dry(api, [{**manifest(), "spec": one["spec"]} for one in GOLDEN])
    wrong = [one["name"] for one, answer in zip(GOLDEN, answers, strict=True) if not _as_expected(one, answer)]
    assert wrong == [], [a.text for one, a in zip(GOLDEN, answers, strict=True) if one["name"] in wrong]


def _as_expected(one: dict[str, Any], answer: Answer) -> bool:
    refused = one.get("refused")
    if not refused:
        return answer.taken
    return not answer.taken and refused["field"] in answer.fields and refused.get("api", refused["says"]) in answer.text


@pytest.mark.cluster
async def test_the_api_server_answers_generated_specs_as_we_do(api: ApiServer) -> None:
    documents = list(generated(COUNT, SEED))
    answers = await create_dry(api, documents)
    differences = [
        (answer.text or "taken", problems or "taken", document["spec"])
        for document, answer in zip(documents, answers, strict=True)
        if answer.taken != (not (problems := _problems(document))) or not (answer.taken or any(answer.fields))
    ]
    assert differences == [], f"{len(differences)} of {COUNT} with seed {SEED}"
