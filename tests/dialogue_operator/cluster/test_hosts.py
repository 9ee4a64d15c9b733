"""Who holds a host: the oldest claim at our gateway, whoever made it."""

from collections.abc import Mapping
from typing import Any

import pytest

from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.hosts import HostSurvey, claim_of
from dialogue_operator.cluster.resources import HTTP_ROUTE, Resource
from dialogue_operator.render.routes import GatewayRef

Json = dict[str, Any]
GATEWAY = GatewayRef("dialogue", "infra", "models.test")
HOST = "m.team.models.test"
OURS, THEIRS = "uid-ours", "uid-theirs"


class Listing(KubeClient):
    """Answers lists alone, and counts them."""

    def __init__(self, *routes: Json) -> None:
        self.routes, self.asked = list(routes), 0

    async def list(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None, fields: str = ""
    ) -> list[Json]:
        self.asked += resource is HTTP_ROUTE
        return self.routes if resource is HTTP_ROUTE else []


def route(owner: str, name: str = "r", second: int = 0, gateway: str = "dialogue") -> Json:
    owners = [{"uid": owner, "controller": True}] if owner else []
    created = f"2026-01-01T00:00:{second:02}Z"
    return {
        "metadata": {"name": name, "namespace": "team", "creationTimestamp": created, "ownerReferences": owners},
        "spec": {"parentRefs": [{"name": gateway, "namespace": "infra"}], "hostnames": [HOST]},
    }


def survey(listing: Listing, now: list[float]) -> HostSurvey:
    return HostSurvey(listing, GATEWAY, (), lambda: now[0])


@pytest.mark.parametrize(
    ("others", "mine", "rival"),
    [
        pytest.param([], None, "", id="nobody"),
        pytest.param([route(THEIRS)], None, "HTTPRoute team/r", id="somebody, and we have no route yet"),
        pytest.param([route("")], None, "HTTPRoute team/r", id="a route that nobody owns"),
        pytest.param([route(THEIRS, second=9)], route(OURS, second=5), "", id="somebody who came later"),
        pytest.param([route(THEIRS, second=1)], route(OURS, second=5), "HTTPRoute team/r", id="somebody who was first"),
        pytest.param([route(THEIRS, "a")], route(OURS, "b"), "HTTPRoute team/a", id="the same second: by name"),
        pytest.param([route(THEIRS, "b")], route(OURS, "a"), "", id="the same second: by name, ours first"),
        pytest.param([route(OURS)], None, "", id="only ourselves"),
        pytest.param([route(THEIRS, gateway="other")], None, "", id="somebody at another gateway"),
    ],
)
async def test_the_first_to_claim_a_host_holds_it(others: list[Json], mine: Json | None, rival: str) -> None:
    claim = claim_of(mine, "HTTPRoute") if mine else None
    assert await survey(Listing(*others), [0.0]).rival(OURS, {HOST: claim}) == rival


async def test_a_survey_serves_many_questions_and_a_fresher_one_whoever_is_about_to_make_a_route() -> None:
    now, listing = [0.0], Listing()
    asked = survey(listing, now)
    made = claim_of(route(OURS), "HTTPRoute")
    await asked.rival(OURS, {HOST: made})
    now[0] = 1.0
    await asked.rival(OURS, {HOST: made})
    assert listing.asked == 1
    listing.routes.append(route(THEIRS))
    assert await asked.rival(OURS, {HOST: None}) == "HTTPRoute team/r"
    assert listing.asked == 2
    await asked.rival(OURS, {HOST: None})
    assert listing.asked == 2
    asked.forget()
    await asked.rival(OURS, {HOST: made})
    assert listing.asked == 3
