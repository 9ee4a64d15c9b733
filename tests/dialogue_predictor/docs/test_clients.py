"""The examples of docs/clients.md as they stand there, through a gateway's part: conversations stay where they began."""

import re
from collections.abc import Iterator
from types import SimpleNamespace

import grpc
import httpx
import pytest

from dialogue_predictor.artifacts.bundle import locate
from support.gateway_part import FULL, arms, gateway, variant
from support.serving import NAME, ROOT, Predictor, serving

TEXT = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
OVER_HTTP, OVER_GRPC = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
VOTE = re.search(r"^curl (?P<url>\S+) -H '(?P<header>[^']+)' -d '(?P<body>[^']+)'", TEXT, re.M)
# Four of five conversations are not the pods' own: three turns on one revision by chance alone are rare.
ARMS = arms(*(variant(f"{at:08x}", 20, **FULL) for at in range(4)))


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """The bundle that ships: what it says may be said back to it, unlike a random model's control characters."""
    with serving(locate("builtin://default"), tmp_path_factory.mktemp("clients")) as running:
        running.wait_ready()
        yield running


def run(example: str, **addresses: str) -> list[str]:
    """The revisions that it printed. Nothing is changed but where it asks, and for which model."""
    for documented, real in {'"dialogue"': f'"{NAME}"', **addresses}.items():
        assert documented in example
        example = example.replace(documented, real)
    printed: list[str] = []
    exec(compile(example, "docs/clients.md", "exec"), {"print": lambda revision, _: printed.append(revision)})
    return printed


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the examples leave their connections to the end of the program
def test_openais_client_stays_with_the_revision_of_the_first_turn(predictor: Predictor) -> None:
    with gateway(predictor.url, ARMS) as part:
        for _ in range(8):
            part.pins.clear()
            printed = run(OVER_HTTP, **{"http://127.0.0.1:8080": part.url})
            assert len(printed) == 3
            assert len(set(printed)) == 1
            assert part.pins == [None, *printed[:2]]


def test_over_grpc(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """No gateway here: the client is made to send what one would add."""
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as stubs

    pins: list[str | None] = []

    plain = stubs.GRPCInferenceServiceStub

    def stub(channel: grpc.Channel) -> SimpleNamespace:
        def with_call(request: object, metadata: tuple[tuple[str, str], ...]) -> object:
            pins.append(dict(metadata).get("x-dialogue-revision"))
            return plain(channel).ModelInfer.with_call(request, metadata=(*metadata, *ARMS.items()))

        return SimpleNamespace(ModelInfer=SimpleNamespace(with_call=with_call))

    monkeypatch.setattr(stubs, "GRPCInferenceServiceStub", stub)
    for _ in range(8):
        pins.clear()
        printed = run(OVER_GRPC, **{"127.0.0.1:8081": predictor.target})
        assert len(printed) == 3
        assert len(set(printed)) == 1
        assert pins == [None, *printed[:2]]


def test_a_vote(predictor: Predictor) -> None:
    assert VOTE is not None
    name, _, revision = VOTE["header"].partition(": ")
    url = VOTE["url"].replace("http://127.0.0.1:8080", predictor.url)
    headers = arms(variant(revision)) | {name: revision, "content-type": "application/x-www-form-urlencoded"}
    assert httpx.post(url, content=VOTE["body"], headers=headers).status_code == 204
    assert predictor.metric("dialogue_feedback_total", revision=revision, vote="up") == 1
