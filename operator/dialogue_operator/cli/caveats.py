"""What is allowed and yet may surprise: said by `dialogue-operator plan` before anything is applied."""

from collections.abc import Iterator

from dialogue_operator.api.rollout import Rollout
from dialogue_operator.api.spec import DialogueModelSpec
from dialogue_operator.api.values import parse_duration, parse_number

SHARES = {"errorRate", "degenerateRate", "negativeFeedback"}


def caveats(spec: DialogueModelSpec) -> Iterator[str]:
    """One sentence each, beginning with the field."""
    yield from _strategy(spec)
    yield from _gates(spec.rollout)
    yield from _capacity(spec)
    yield from _aftermath(spec.rollout)


def _strategy(spec: DialogueModelSpec) -> Iterator[str]:
    rollout = spec.rollout
    judged = rollout.strategy != "Immediate" or bool(spec.experiment.arms)
    if rollout.strategy == "Immediate":
        yield "rollout.strategy: Immediate moves all new conversations as soon as the new revision is ready"
    if rollout.gates and not judged:
        yield "rollout.gates: nothing asks them: strategy Immediate has no steps, and there are no arms"
    if rollout.strategy != "BlueGreen" and parse_duration(rollout.preview):
        yield f"rollout.preview: strategy {rollout.strategy} has no preview"
    if rollout.strategy == "Canary" and not rollout.gates:
        yield "rollout.gates: a Canary without gates goes on by the clock, whatever users see"
    if (
        rollout.strategy == "BlueGreen"
        and not rollout.gates
        and not spec.preflight
        and not parse_duration(rollout.preview)
    ):
        yield "rollout.preview: BlueGreen without gates, preflight or a time to look at it is Immediate"
    if rollout.gates:
        for number, step in enumerate(rollout.steps, 1):
            if step.gates == ():
                yield f"rollout.steps[{number - 1}].gates: step {number} asks no gate"


def _gates(rollout: Rollout) -> Iterator[str]:
    for index, gate in enumerate(rollout.gates):
        where = f"rollout.gates[{index}]"
        if gate.query:
            yield f"{where}.query: gate {gate.name} needs Prometheus; without it, a step that asks it is given up"
        if gate.metric in SHARES and gate.max and parse_number(gate.max) >= 1:
            yield f"{where}.max: a share is never above {gate.max}: gate {gate.name} cannot fail"
        if gate.metric == "negativeFeedback":
            yield f"{where}.minSamples: gate {gate.name} counts users' votes, which are few beside requests"


def _capacity(spec: DialogueModelSpec) -> Iterator[str]:
    scaling = spec.scaling
    if scaling.min_replicas == 0:
        yield "scaling.minReplicas: 0 needs KEDA and its HTTP add-on; without them one pod stays awake"
    if scaling.min_replicas == 1:
        yield "scaling.minReplicas: one pod is no reserve: while it restarts there is nothing to answer, nor to roll back to"
    scales = (scaling.max_replicas or 0) > max(1, scaling.min_replicas)
    if scales and scaling.metric != "cpu":
        yield f"scaling.metric: {scaling.metric} needs KEDA and Prometheus; without them cpu is scaled on"


def _aftermath(rollout: Rollout) -> Iterator[str]:
    if not parse_duration(rollout.bake):
        yield f"rollout.bake: 0s: going back later than {rollout.drain} after the promotion waits for pods to start"
    if rollout.on_abort == "Finish" and not parse_duration(rollout.drain):
        yield "rollout.onAbort: Finish needs a drain: with 0s no conversation can finish"
    if rollout.stickiness == "None":
        yield "rollout.stickiness: None lets a conversation change its revision in the middle"
    if rollout.request:
        request = rollout.request
        yield f"rollout.request: {request.action} is obeyed where id {request.id} is new, and passed over where it is not"
