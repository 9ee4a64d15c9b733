"""One key, one pass: observe → decide → record → apply → announce.

The status is recorded with the resourceVersion that the decision was made from, before anything is applied: a stale or
second leader loses there. Nothing is remembered between passes but two things that only speak to people: what the API
server refused last, and how long a rollout has kept us busy.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydantic import ValidationError

from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.cluster.announce import event_of
from dialogue_operator.cluster.apply import apply
from dialogue_operator.cluster.capabilities import CapabilitySurvey
from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.errors import ApiError, Forbidden, Invalid, NotFound
from dialogue_operator.cluster.evidence import Source
from dialogue_operator.cluster.golden import run_golden
from dialogue_operator.cluster.hosts import HostSurvey
from dialogue_operator.cluster.observe import observe
from dialogue_operator.cluster.resources import DIALOGUE_MODEL
from dialogue_operator.controller.queue import Key
from dialogue_operator.controller.settings import Settings
from dialogue_operator.controller.telemetry import Metrics
from dialogue_operator.rollout.conditions import condition
from dialogue_operator.rollout.machine import decide
from dialogue_operator.rollout.observed import Failure, Observed
from dialogue_operator.rollout.plan import Announcement, Decision
from dialogue_operator.rollout.questions import questions
from dialogue_operator.rollout.timing import format_time, parse_time

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What a decision asks besides the API server's objects."""

    source: Source
    capabilities: CapabilitySurvey


class Reconciler:
    def __init__(
        self,
        client: KubeClient,
        survey: HostSurvey,
        settings: Settings,
        metrics: Metrics,
        around: Surroundings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._survey, self._settings, self._metrics, self._now = client, survey, settings, metrics, now
        self._around = around
        self._refused: dict[Key, Failure] = {}
        self._busy: dict[Key, float] = {}

    async def __call__(self, key: Key) -> float | None:
        """Seconds until it should be looked at again; None when only an event can matter. Raises ApiError."""
        began = time.monotonic()
        manifest = await self._client.find(DIALOGUE_MODEL, *key)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:  # its objects go with it
            self._refused.pop(key, None)
            self._busy.pop(key, None)
            return None
        try:
            model = DialogueModel.parse(manifest)
        except ValidationError as error:
            await self._complain(manifest, "Accepted", "SpecInvalid", _fields(error))
            return None
        try:
            capabilities = await self._around.capabilities.now()
            sight = await observe(self._client, model, self._settings.gateway, self._survey, capabilities)
        except (Forbidden, NotFound) as error:
            await self._complain(manifest, "Progressing", _word(error), str(error))
            raise
        decision = self._decide(model, await self._asked(model, sight.observed), key)
        await self._record(manifest, decision.status.to_json())
        try:
            await apply(self._client, model, decision.plan, self._settings.gateway, sight, capabilities)
            if decision.plan.traffic and len(sight.observed.routes) < sight.observed.routes_wanted:
                self._survey.forget()
        except (Forbidden, Invalid, NotFound) as error:
            self._refused[key] = Failure(_word(error), str(error))
            raise
        finally:
            seconds = time.monotonic() - began
            await self._announce(model, decision.announcements)
        self._account(key, decision, seconds)
        return 0.0 if self._refused.pop(key, None) else decision.wake_after

    async def _asked(self, model: DialogueModel, observed: Observed) -> Observed:
        """With what no Kubernetes object says: what the revisions did, and what golden dialogues showed."""
        asked = questions(model, model.status)
        if asked.count:
            observed = replace(observed, evidence=await self._around.source.gather(model, asked.count))
        seen = observed.of(model.status, asked.golden)
        if asked.golden and seen and seen.ready:
            said = await run_golden(self._client, model, asked.golden, seen.revision)
            observed = replace(observed, golden={asked.golden: said})
        return observed

    def _decide(self, model: DialogueModel, observed: Observed, key: Key) -> Decision:
        observed = replace(observed, refusal=self._refused.get(key))
        settings = self._settings
        return decide(model, observed, self._now(), settings.predictor_image, settings.gateway.domain)

    async def _record(self, manifest: Json, status: Json) -> None:
        """No write where nothing changes; Conflict where the object is no longer what was read."""
        if patch := merge_patch(manifest.get("status") or {}, status):
            await self._client.patch_status(manifest, patch)

    async def _complain(self, manifest: Json, type_: str, reason: str, message: str) -> None:
        """One condition, where no decision can be made; what was last decided keeps serving."""
        before = (manifest.get("status") or {}).get("conditions", [])
        said = condition(type_, False, reason, message, manifest["metadata"].get("generation", 0))
        old: Json = next((c for c in before if c["type"] == type_), {})
        since = old["lastTransitionTime"] if old.get("status") == said.status else format_time(self._now())
        said = said.model_copy(update={"last_transition_time": since})
        if said.to_json() != old:
            log.warning("%s: %s", reason, message, extra={"fields": _where(manifest)})
            rest = [c for c in before if c["type"] != type_]
            await self._record(manifest, {**(manifest.get("status") or {}), "conditions": [*rest, said.to_json()]})

    async def _announce(self, model: DialogueModel, said: tuple[Announcement, ...]) -> None:
        for one in said:
            level = logging.WARNING if one.kind == "Warning" else logging.INFO
            where = {"namespace": model.namespace, "model": model.name}
            log.log(level, "%s: %s", one.reason, one.message, extra={"fields": where})
            try:
                await self._client.create_event(event_of(model, one, self._now(), self._settings.identity))
            except ApiError as error:
                log.warning("event not written: %s", error)

    def _account(self, key: Key, decision: Decision, seconds: float) -> None:
        """How much of a rollout's time was ours: reported at its promotion."""
        busy = self._busy[key] = self._busy.get(key, 0.0) + seconds
        if not any(said.reason == "Promoted" for said in decision.announcements):
            if not decision.status.candidate_revision:
                self._busy.pop(key, None)
            return
        total = (self._now() - parse_time(decision.status.rollout.started_at)).total_seconds()
        del self._busy[key]
        self._metrics.rollout_seconds.labels("all").observe(total)
        self._metrics.rollout_seconds.labels("reconciling").observe(busy)
        fields = {"namespace": key[0], "model": key[1], "seconds": round(total, 3), "reconciling": round(busy, 3)}
        log.info("rollout done", extra={"fields": fields})


def merge_patch(old: Json, new: Json) -> Json:
    """The JSON merge patch (RFC 7396) that turns `old` into `new`; empty where they are equal."""
    patch: Json = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


def _word(error: ApiError) -> str:
    if isinstance(error, NotFound):
        return "ApiMissing"
    return "Forbidden" if isinstance(error, Forbidden) else "Refused"


def _fields(error: ValidationError) -> str:
    """`spec.generation.numBeams: Input should be ...`, one after the other."""
    root = "status" if error.title == DialogueModelStatus.__name__ else "spec"
    return "; ".join(f"{'.'.join(map(str, (root, *one['loc'])))}: {one['msg']}" for one in error.errors())


def _where(manifest: Json) -> Json:
    return {"namespace": manifest["metadata"]["namespace"], "model": manifest["metadata"]["name"]}
