"""What the cluster can scale with: asked once a minute, and never guessed."""

import asyncio

import pytest

from dialogue_operator.cluster.capabilities import FRESH_SECONDS, CapabilitySurvey, ScalingSettings
from dialogue_operator.cluster.errors import Unavailable
from dialogue_operator.render.capabilities import Capabilities

SETTINGS = ScalingSettings("http://prometheus:9090", "autoscaling")


class Server:
    """Answers discovery; a group may fail."""

    def __init__(self, **served: set[str] | Exception) -> None:
        self.served = {name.replace("__", "/").replace("_", "."): found for name, found in served.items()}
        self.asked = 0

    async def discover(self, api_version: str) -> frozenset[str]:
        self.asked += 1
        found = self.served.get(api_version, set())
        if isinstance(found, Exception):
            raise found
        return frozenset(found)


EVERYTHING = {
    "keda_sh__v1alpha1": {"scaledobjects", "scaledjobs"},
    "http_keda_sh__v1alpha1": {"httpscaledobjects"},
    "metrics_k8s_io__v1beta1": {"pods", "nodes"},
}


def _survey(server: Server, now: list[float]) -> CapabilitySurvey:
    return CapabilitySurvey(server.discover, SETTINGS, clock=lambda: now[0])


def test_everything_that_is_served_is_found() -> None:
    found = asyncio.run(_survey(Server(**EVERYTHING), [0.0]).now())
    assert found == Capabilities(True, True, True, "http://prometheus:9090", "autoscaling")
    assert found.queries
    assert found.sleep


def test_a_bare_cluster_has_nothing() -> None:
    found = asyncio.run(_survey(Server(), [0.0]).now())
    assert (found.keda, found.http_addon, found.metrics, found.queries, found.sleep) == (False,) * 5


def test_the_answer_is_kept_for_a_minute_and_no_longer() -> None:
    server, now = Server(), [0.0]

    async def story() -> list[bool]:
        survey = _survey(server, now)
        seen = [(await survey.now()).keda]
        server.served |= {"keda.sh/v1alpha1": {"scaledobjects"}}
        now[0] = FRESH_SECONDS - 1
        seen.append((await survey.now()).keda)
        now[0] = FRESH_SECONDS
        seen.append((await survey.now()).keda)
        return seen

    assert asyncio.run(story()) == [False, False, True]
    assert server.asked == 6


def test_a_server_that_does_not_answer_is_no_answer() -> None:
    """Taking KEDA for gone would delete its objects, and every model's size with them."""
    server = Server(keda_sh__v1alpha1=Unavailable("GET", 503, "overloaded"))
    with pytest.raises(Unavailable):
        asyncio.run(_survey(server, [0.0]).now())


def test_metrics_that_do_not_answer_now_are_installed_all_the_same() -> None:
    server = Server(metrics_k8s_io__v1beta1=Unavailable("GET", 503, "no endpoints"))
    assert asyncio.run(_survey(server, [0.0]).now()).metrics
