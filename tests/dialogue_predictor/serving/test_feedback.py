"""Votes: what they count for, and what bad ones get."""

from typing import Any

import httpx
import pytest

from support.gateway_part import arms, variant
from support.serving import REVISION, Predictor

OURS = {"x-dialogue-revision": REVISION}


def vote(predictor: Predictor, body: Any, headers: dict[str, str] = OURS) -> httpx.Response:
    return httpx.post(f"{predictor.url}/v1/feedback", json=body, headers=headers)


@pytest.mark.parametrize("body", [{"vote": "up"}, {"vote": "down", "model": "tiny"}])
def test_a_vote_counts_for_the_revision_it_is_pinned_to(predictor: Predictor, body: dict[str, str]) -> None:
    def counted(revision: str) -> float:
        return predictor.metric("dialogue_feedback_total", revision=revision, vote=body["vote"])

    requests = predictor.metric("dialogue_requests_total", outcome="ok")
    own, theirs = counted(REVISION), counted("5000e711")
    response = vote(predictor, body, arms(variant("5000e711", 100)) | {"x-dialogue-revision": "5000e711"})
    assert (response.status_code, response.content, response.headers["x-dialogue-revision"]) == (204, b"", "5000e711")
    assert (counted(REVISION), counted("5000e711")) == (own, theirs + 1)
    assert vote(predictor, body, {"cookie": f"dialogue-revision={REVISION}"}).status_code == 204
    assert (counted(REVISION), counted("5000e711")) == (own + 1, theirs + 1)
    assert predictor.metric("dialogue_requests_total", outcome="ok") == requests, "a vote is no request"


def test_a_vote_for_what_has_gone_is_taken_and_decides_nothing(predictor: Predictor) -> None:
    own = predictor.metric("dialogue_feedback_total", revision=REVISION, vote="up")
    switches = predictor.metric("dialogue_version_switches_total", revision=REVISION)
    assert vote(predictor, {"vote": "up"}, {"x-dialogue-revision": "deadbeef"}).status_code == 204
    assert predictor.metric("dialogue_feedback_total", revision=REVISION, vote="up") == own
    assert predictor.metric("dialogue_version_switches_total", revision=REVISION) == switches


MISTAKES: list[tuple[str, Any, dict[str, str], int, str]] = [
    ("no vote", {}, OURS, 400, "vote"),
    ("another vote", {"vote": "sideways"}, OURS, 400, "vote"),
    ("a number", {"vote": 1}, OURS, 400, "vote"),
    ("no object", ["up"], OURS, 400, ""),
    ("an unknown field", {"vote": "up", "why": "xyzzy"}, OURS, 400, ""),
    ("a model that is no text", {"vote": "up", "model": 1}, OURS, 400, "model"),
    ("another model", {"vote": "up", "model": "other"}, OURS, 404, ""),
    ("no revision", {"vote": "up"}, {}, 400, "x-dialogue-revision"),
    ("too much", {"vote": "up" * 200_000}, OURS, 413, ""),
]


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_mistake_is_one_clear_answer(
    predictor: Predictor, body: Any, headers: dict[str, str], status: int, field: str
) -> None:
    response = vote(predictor, body, headers)
    assert response.status_code == status
    told = response.json()
    assert told.get("field", "") == field
    assert told["error"].startswith(field)
    assert {"code", "request_id"} <= told.keys()
    assert not {"xyzzy", "sideways"} & set(response.text.split())


def test_a_body_that_is_no_json(predictor: Predictor) -> None:
    assert httpx.post(f"{predictor.url}/v1/feedback", content=b"up", headers=OURS).status_code == 400
    xml = OURS | {"content-type": "application/xml"}
    assert httpx.post(f"{predictor.url}/v1/feedback", content=b"{}", headers=xml).status_code == 415
    assert httpx.get(f"{predictor.url}/v1/feedback").status_code == 405
