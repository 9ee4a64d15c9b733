"""What applying a DialogueModel would do, stage by stage, at the earliest: by the functions that the operator decides with."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.spec import DialogueModelSpec, Overrides, ServingSpec
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.api.values import parse_duration, parse_quantity
from dialogue_operator.rollout.capacity import replicas_for
from dialogue_operator.rollout.records import record_of
from dialogue_operator.rollout.revision import can_share_pods, overridden, revision_of, serving_spec
from dialogue_operator.rollout.stages import ALL, Stage, stages_of

GOLDEN = ("golden dialogues",)


@dataclass(frozen=True)
class Pods:
    """How many of one kind, and what one of them requests."""

    who: str  # stable, candidate, old, experiment, shadow
    count: int
    serving: ServingSpec

    @property
    def cpu(self) -> Decimal:
        return self.count * parse_quantity(self.serving.runtime.resources.cpu)

    @property
    def memory(self) -> Decimal:
        return self.count * parse_quantity(self.serving.runtime.resources.memory)


@dataclass(frozen=True)
class Moment:
    """One stage of the rollout: from when at the earliest, for how long at least, with which pods."""

    name: str
    starts: timedelta | None  # since the first pods of the new revision were ready; None before
    lasts: timedelta
    weight: int
    pods: tuple[Pods, ...]
    gates: tuple[str, ...] = ()
    rate: float | None = None  # requests/s to the model below which its gates cannot answer in time

    def count(self, who: str) -> int:
        return sum(pods.count for pods in self.pods if pods.who == who)


@dataclass(frozen=True)
class Forecast:
    """`old` is None where nothing is known to serve: the rollout of a first revision, or of any later one of that size."""

    model: DialogueModel
    old: str | None
    new: str
    first: bool  # there is nothing to take over from
    old_version: str
    changed: tuple[str, ...]  # fields whose change makes the new revision
    aside: tuple[str, ...]  # parts of the spec that have changed, too, and never make one
    shares_pods: bool  # the new revision differs in decoding alone
    note: str  # why there are no steps, where there are none
    moments: tuple[Moment, ...]

    @property
    def is_new(self) -> bool:
        return self.old != self.new

    @property
    def total(self) -> timedelta:
        return sum((moment.lasts for moment in self.moments if moment.starts is not None), timedelta())


def forecast(model: DialogueModel, current: DialogueModel | None, first: bool = False) -> Forecast:
    """`current` is the object as it is applied now, with its recorded status where that is known."""
    new = serving_spec(model.spec)
    revision = revision_of(new)
    old = _serves(current) if current else None
    old_revision = (current.status.stable_revision or revision_of(old)) if current and old else None
    changed = tuple(_differences(old.to_json(), new.to_json())) if old else ()
    at_once = _at_once(current.status, revision) if current else ""
    shared = old is not None and can_share_pods(old.model_copy(update={"runtime": _same_image(old, new)}), new)
    is_new = old_revision != revision
    return Forecast(
        model=model,
        old=old_revision,
        new=revision,
        first=first,
        old_version=old.model.version if old else "",
        changed=changed if is_new else (),
        aside=_aside(current.spec, model.spec) if current else (),
        shares_pods=shared,
        note=at_once,
        moments=_stages(model, old, new, shared, at_once, first) if is_new else (_rest(model, new),),
    )


def _stages(
    model: DialogueModel, old: ServingSpec | None, new: ServingSpec, shared: bool, at_once: str, first: bool
) -> tuple[Moment, ...]:
    if first:
        golden = GOLDEN if model.spec.preflight else ()
        rest = _rest(model, new)
        alone = tuple(pods for pods in rest.pods if pods.who == "stable")
        return (
            Moment("coming up", None, timedelta(), 0, alone, golden),
            Moment("all traffic", timedelta(), timedelta(), 100, rest.pods),
        )
    return tuple(_moments(model, old or new, new, shared, bool(at_once)))


def _serves(current: DialogueModel) -> ServingSpec:
    """What answers now: the recorded stable revision, else what the spec asked for."""
    record = record_of(current.status, current.status.stable_revision)
    return record.serving if record else serving_spec(current.spec)


def _same_image(old: ServingSpec, new: ServingSpec) -> object:
    """A record names the operator's own image; a spec that leaves it open means the same one."""
    return old.runtime.model_copy(update={"image": None}) if new.runtime.image is None else old.runtime


def _at_once(status: DialogueModelStatus, revision: str) -> str:
    if status.rejected_revision == revision:
        return "this revision was given up before: it is not tried again until a request with action Retry"
    if record_of(status, revision) and any(entry.revision == revision for entry in status.history):
        return "this revision served before and is still kept: it takes over as soon as it is ready, without steps and gates"
    return ""


def _aside(before: DialogueModelSpec, after: DialogueModelSpec) -> tuple[str, ...]:
    names = DialogueModelSpec.model_fields.keys() - ServingSpec.model_fields.keys()
    return tuple(sorted(name for name in names if getattr(before, name) != getattr(after, name)))


def _differences(before: object, after: object, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            if path + key != "runtime.image" or after.get(key) is not None:  # unset: the operator's own, as before
                yield from _differences(before.get(key), after.get(key), f"{path}{key}.")
    elif before != after:
        yield path.removesuffix(".")


def _moments(model: DialogueModel, old: ServingSpec, new: ServingSpec, shared: bool, at_once: bool) -> Iterator[Moment]:
    rollout, size = model.spec.rollout, max(1, model.spec.scaling.min_replicas)
    status = DialogueModelStatus(stable_revision="old")
    stages = () if at_once else stages_of(model, status)
    beside = _beside(model, old, size)

    def pods(stage: Stage) -> tuple[Pods, ...]:
        own = 0 if shared else replicas_for(size, stage.size)
        return (Pods("stable", size, old), Pods("candidate", own, new), *beside)

    golden = GOLDEN if model.spec.preflight and not at_once else ()
    yield Moment("coming up", None, timedelta(), 0, pods((*stages, ALL)[0]), golden)
    start = timedelta()
    for number, stage in enumerate(stages, 1):
        name = "preview" if stage.preview else f"step {number}"
        gates = tuple(gate.name for gate in stage.gates)
        yield Moment(name, start, stage.hold, stage.weight, pods(stage), gates, _rate(model, stage))
        start += stage.hold
    yield Moment("all traffic", start, timedelta(), 100, pods(ALL))
    after = (Pods("stable", size, new), *_beside(model, new, size))
    left = () if shared else (Pods("old", size, old),)
    for name, span in (("bake", parse_duration(rollout.bake)), ("drain", parse_duration(rollout.drain))):
        if span:
            yield Moment(name, start, span, 100, (*after, *left))
        start += span
    yield Moment("done", start, timedelta(), 100, after)


def _rest(model: DialogueModel, serving: ServingSpec) -> Moment:
    size = max(1, model.spec.scaling.min_replicas)
    return Moment("as before", None, timedelta(), 0, (Pods("stable", size, serving), *_beside(model, serving, size)))


def _beside(model: DialogueModel, stable: ServingSpec, size: int) -> tuple[Pods, ...]:
    """Arms and shadow: pods of their own only where they differ in more than decoding."""

    def own(who: str, overrides: Overrides, weight: int) -> Pods:
        serving = overridden(stable, overrides)
        return Pods(who, 0 if can_share_pods(stable, serving) else replicas_for(size, weight), serving)

    found = [own("experiment", arm.overrides, arm.weight) for arm in model.spec.experiment.arms]
    if shadow := model.spec.shadow:
        found.append(own("shadow", shadow.overrides, shadow.percent))
    return tuple(found)


def _rate(model: DialogueModel, stage: Stage) -> float | None:
    """Requests a second at which every gate has its samples just before the step would be given up."""
    samples = max((gate.min_samples for gate in stage.gates if gate.metric), default=0)
    seconds = (stage.hold + parse_duration(model.spec.rollout.progress_deadline)).total_seconds()
    return samples / seconds * 100 / stage.weight if samples and stage.weight else None
