"""The controller's small parts: status patches, back-offs, doorbells, settings, health."""

import json
import logging

import kopf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_operator import names
from dialogue_operator.cluster.credentials import Credentials
from dialogue_operator.cluster.resources import CHILDREN, Resource
from dialogue_operator.controller.handlers import Backoffs, doorbells, kopf_settings
from dialogue_operator.controller.health import Pulse
from dialogue_operator.controller.queue import WorkQueue
from dialogue_operator.controller.reconcile import merge_patch
from dialogue_operator.controller.settings import Settings
from dialogue_operator.controller.telemetry import _Lines

ENV = {
    "DIALOGUE_OPERATOR_GATEWAY_NAME": "dialogue",
    "DIALOGUE_OPERATOR_GATEWAY_NAMESPACE": "infra",
    "DIALOGUE_OPERATOR_DOMAIN": "models.test",
    "DIALOGUE_OPERATOR_PREDICTOR_IMAGE": "example.com/predictor:1",
}
SCALAR = st.one_of(st.integers(0, 3), st.sampled_from(["", "x"]), st.lists(st.integers(0, 3), max_size=2))
OBJECT = st.recursive(SCALAR, lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3), max_leaves=8)
STATUS = st.dictionaries(st.sampled_from("abcd"), OBJECT, max_size=4)


def patched(target: object, patch: object) -> object:
    """RFC 7396, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = patched(found.get(key), value)
    return found


@given(STATUS, STATUS)
def test_a_status_patch_turns_the_old_status_into_the_new_one(old: dict[str, object], new: dict[str, object]) -> None:
    assert patched(old, merge_patch(old, new)) == new


@given(STATUS)
def test_a_status_that_does_not_change_is_not_written(status: dict[str, object]) -> None:
    assert merge_patch(status, status) == {}


def test_a_request_is_tried_for_ten_minutes_at_growing_intervals_each_time_anew() -> None:
    backoffs = kopf_settings().networking.error_backoffs
    for _ in range(2):
        waits = list(backoffs)
        assert 450 < sum(waits) < 780
        assert waits[0] < 1.3
        assert max(waits) <= 36
    assert isinstance(backoffs, Backoffs)


def test_kopf_keeps_no_state_in_objects() -> None:
    settings = kopf_settings()
    assert settings.scanning.disabled
    assert settings.peering.standalone
    assert isinstance(settings.watching.server_timeout, int)
    assert not settings.posting.enabled


async def test_each_event_rings_for_its_owner_and_none_needs_a_finalizer() -> None:
    rung: list[tuple[tuple[str, str], tuple[str, str], str]] = []

    async def login() -> Credentials:
        return Credentials("https://example.com", None, "t", None, None, False)

    def ring(key: tuple[str, str], _: Resource, place: tuple[str, str], version: str) -> None:
        rung.append((key, place, version))

    registry = doorbells(ring, login)
    handlers = registry._watching.get_all_handlers()
    assert len(handlers) == 1 + len(CHILDREN)
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    meta, place = {"resourceVersion": "7"}, ("team", "n")
    for handler in handlers:
        for event in ({"type": None}, {"type": "DELETED"}):
            await handler.fn(event=event, name="n", namespace="team", labels={names.LABEL_MODEL: "owner"}, meta=meta)
        await handler.fn(event={"type": "ADDED"}, name="n", namespace="team", labels={}, meta=meta)
    assert {*rung} == {
        (("team", "n"), place, "7"), (("team", "n"), place, ""), (("team", "owner"), place, "7"),
        (("team", "owner"), place, ""),
    }  # fmt: skip
    assert len(rung) == 3 + 2 * len(CHILDREN)
    [entry] = registry._activities.get_all_handlers()
    found = await entry.fn()
    assert isinstance(found, kopf.ConnectionInfo)
    assert found.expiration is not None


def test_settings_come_from_the_environment() -> None:
    found = Settings.from_environ(
        {**ENV, "DIALOGUE_OPERATOR_WATCH_NAMESPACES": "a,b", "DIALOGUE_OPERATOR_WORKERS": "3"}
    )
    assert found.gateway.domain == "models.test"
    assert found.watch_namespaces == ("a", "b")
    assert found.workers == 3
    assert (found.lease_timing.duration, found.lease_timing.deadline) == (15, 10)


@pytest.mark.parametrize("missing", ENV)
def test_a_missing_setting_is_named(missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        Settings.from_environ({name: value for name, value in ENV.items() if name != missing})


def test_an_unreadable_setting_is_named() -> None:
    with pytest.raises(ValueError, match="DIALOGUE_OPERATOR_WORKERS is 'many'"):
        Settings.from_environ({**ENV, "DIALOGUE_OPERATOR_WORKERS": "many"})


def test_a_standby_with_old_work_is_alive_and_a_leader_is_not() -> None:
    now = [0.0]
    pulse, queue = Pulse(lambda: now[0]), WorkQueue(lambda: now[0])
    queue.add(("team", "a"))
    now[0] = 301.0
    assert pulse.ailment(queue) == ""
    pulse.leading = True
    assert "has waited for 301 s" in pulse.ailment(queue)


def test_a_leader_whose_workers_finish_nothing_is_not_alive() -> None:
    now = [0.0]
    pulse, queue = Pulse(lambda: now[0]), WorkQueue(lambda: now[0])
    pulse.leading = True
    now[0] = 121.0
    assert pulse.ailment(queue) == ""
    queue.add(("team", "a"))
    assert "no worker has finished anything" in pulse.ailment(queue)
    pulse.progress()
    assert pulse.ailment(queue) == ""


def test_readiness_wants_the_preflight_and_a_lease_that_was_heard_of() -> None:
    pulse = Pulse()
    assert pulse.unready(1.0) == "not done"
    pulse.preflight = ""
    assert pulse.unready(None) == pulse.unready(31.0) == "nothing heard of the Lease"
    assert pulse.unready(29.0) == ""


def test_a_log_line_is_one_json_object() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, "f.py", 1, "two\nlines %d", (7,), None)
    record.fields = {"model": "m"}
    line = _Lines().format(record)
    assert "\n" not in line
    assert json.loads(line) | {"time": ""} == {
        "time": "", "level": "warning", "logger": "a.b", "message": "two\nlines 7", "model": "m"
    }  # fmt: skip
