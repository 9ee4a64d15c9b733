"""Every metric whose name is a contract is really exported, moves, and carries the revision."""

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from dialogue_predictor import names
from dialogue_predictor.serving.metrics import Metrics
from support.serving import HELLO, NAME, REVISION, Predictor

NOT_YET = {names.METRIC_CACHE, names.METRIC_SHADOW, names.METRIC_SHADOW_SECONDS}  # nothing caches; no shadow here
OURS = sorted(set(names.METRICS) - NOT_YET)


@pytest.fixture(scope="module")
def samples(predictor: Predictor) -> dict[str, list[tuple[dict[str, str], float]]]:
    """What is exported after a reply and a stream."""
    url = f"{predictor.url}/v1/chat/completions"
    assert httpx.post(url, json=HELLO).status_code == 200
    assert "[DONE]" in httpx.post(url, json=HELLO | {"stream": True}).text
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(httpx.get(f"{predictor.url}/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.mark.parametrize("name", OURS)
def test_a_metric_is_exported_with_model_and_revision(
    name: str, samples: dict[str, list[tuple[dict[str, str], float]]]
) -> None:
    mine = samples.get(name) or samples.get(f"{name}_count")
    assert mine, f"{name} is not exported"
    assert {labels["model"] for labels, _ in mine} == {NAME}
    assert REVISION in {labels["revision"] for labels, _ in mine}, "others are variants that other tests asked for"


@pytest.mark.parametrize(
    "sample",
    [
        "dialogue_requests_total",
        "dialogue_request_seconds_count",
        "dialogue_time_to_first_token_seconds_count",
        "dialogue_generated_tokens_total",
        "dialogue_batch_size_count",
        "dialogue_queue_seconds_count",
        "dialogue_beam_margin_count",
        "dialogue_degenerate_replies_total",
        "dialogue_replies_total",
        "dialogue_reply_tokens_count",
        "dialogue_backend_up",
    ],
)
def test_a_metric_moves(sample: str, samples: dict[str, list[tuple[dict[str, str], float]]]) -> None:
    assert sum(value for _, value in samples[sample]) > 0


def test_a_fault_is_one_however_many_requests_it_failed() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, NAME, REVISION)
    labels = {"model": NAME, "revision": REVISION}
    assert registry.get_sample_value(names.METRIC_ENGINE_FAULTS, labels) == 0
    metrics.failed(3)
    assert registry.get_sample_value(names.METRIC_ENGINE_FAULTS, labels) == 1


def test_no_label_can_hold_what_a_user_said(samples: dict[str, list[tuple[dict[str, str], float]]]) -> None:
    labels = {label for name in samples if name.startswith("dialogue_") for each, _ in samples[name] for label in each}
    assert labels == {"model", "revision", "outcome", "kind", "quality", "vote", "le"}
