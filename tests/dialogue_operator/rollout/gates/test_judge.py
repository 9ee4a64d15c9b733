"""Verdicts of single looks, with figures that can be checked by hand."""

from dataclasses import replace

import pytest

from dialogue_operator.api.rollout import Gate
from dialogue_operator.rollout.evidence import Answer, Histogram, Tally
from dialogue_operator.rollout.gates import Judgement, differs, judge

ERRORS = Gate(name="errors", metric="errorRate", margin="0.5%", min_samples=200)
LATENCY = Gate(name="latency", metric="latencyP95", margin="15%", min_samples=200)
TOKENS = Gate(name="tokens", metric="tokensPerReply", margin="15%", min_samples=200)
LEAD = Gate(name="lead", metric="beamMargin", margin="15%", min_samples=200)
SOUND = Gate(name="quality", metric="degenerateRate", max="2%", min_samples=200)
NAN, INF = float("nan"), float("inf")
QUERY = Gate(name="custom", query="sum(x)", max="0.1", min_samples=3)
BOUNDS = (0.1, 0.12, 0.144, 0.1728, 0.2074, 0.2488)


def errors(hits: float, requests: float) -> Tally:
    return Tally(requests=requests, errors=hits)


def latencies(*counts: float, bounds: tuple[float, ...] = BOUNDS) -> Tally:
    return Tally(seconds=Histogram(bounds, counts, 1.0))


def tokens(mean: float, replies: int) -> Tally:
    """Half of them about two tokens shorter, half about two longer."""
    counts = [0.0] * 41
    counts[int(mean) - 2] += replies / 2
    counts[int(mean) + 2] += replies / 2
    return Tally(tokens=Histogram(tuple(range(40)), tuple(counts), mean * replies))


def test_evidence_names_the_figures() -> None:
    found = judge(ERRORS, errors(33, 812), errors(66, 7310))
    assert found.verdict == "Fail"
    assert found.samples == 812
    assert found.evidence.startswith("errorRate 4.06 % of 812 requests against 0.903 % of 7,310; difference 3.16 (")
    assert found.evidence.endswith(") points, allowed at most 0.5")


@pytest.mark.parametrize(
    ("candidate", "control", "verdict"),
    [
        (errors(0, 300), errors(0, 5_700), "Inconclusive"),  # nought of 300 still allows 1 % (0.99^300 = 5 %)
        (errors(0, 2_000), errors(0, 38_000), "Pass"),  # 0.995^2000 = 0.004 %
        (errors(2, 200), errors(40, 4_000), "Inconclusive"),
        (errors(1, 200), errors(0, 4_000), "Inconclusive"),  # one error condemns nobody
        (errors(80, 8_000), errors(1_520, 152_000), "Pass"),
        (errors(320, 16_000), errors(3_040, 304_000), "Fail"),
        (errors(200, 200), errors(0, 4_000), "Fail"),
        (errors(200, 200), errors(4_000, 4_000), "Pass"),  # both are down: no worse than stable
        (errors(0, 500), errors(500, 500), "Pass"),
        (errors(150.5, 15_000.3), errors(2_999.9, 299_999.9), "Pass"),  # extrapolated
    ],
)
def test_shares_against_a_control(candidate: Tally, control: Tally, verdict: str) -> None:
    assert judge(ERRORS, candidate, control).verdict == verdict


@pytest.mark.parametrize(
    ("degenerate", "replies", "verdict"),
    [
        (0, 200, "Inconclusive"),
        (0, 500, "Pass"),
        (10, 1_000, "Inconclusive"),
        (60, 1_000, "Fail"),
        (20, 1_000, "Inconclusive"),
    ],
)
def test_shares_against_a_bound(degenerate: int, replies: int, verdict: str) -> None:
    """0.98^200 = 1.8 % is not below 1 %; 0.98^500 = 0.004 % is."""
    assert judge(SOUND, Tally(replies=replies, degenerate=degenerate), None).verdict == verdict


def test_a_lower_bound() -> None:
    gate = Gate(name="votes", metric="negativeFeedback", min="10%", min_samples=20)
    assert judge(gate, Tally(feedback=500, negative=150), None).verdict == "Pass"
    assert judge(gate, Tally(feedback=500, negative=5), None).verdict == "Fail"


def test_percentiles_against_a_control() -> None:
    stable = latencies(0, 9_000, 6_000, 3_000, 1_500, 400, 100)
    assert judge(LATENCY, latencies(0, 900, 600, 300, 150, 40, 10), stable).verdict == "Pass"
    assert judge(LATENCY, latencies(0, 90, 60, 30, 15, 4, 1), stable).verdict == "Inconclusive"
    slower = judge(LATENCY, latencies(0, 0, 900, 600, 300, 150, 50), stable)
    assert slower.verdict == "Inconclusive"  # a fifth slower is little more than what is allowed
    assert judge(LATENCY, latencies(0, 0, 0, 900, 600, 300, 200), stable).verdict == "Fail"


def test_a_percentile_beyond_all_bounds_is_not_guessed() -> None:
    stable = latencies(0, 9_000, 6_000, 3_000, 1_500, 400, 100)
    lost = judge(LATENCY, latencies(0, 0, 0, 0, 0, 0, 2_000), stable)
    assert (lost.verdict, "over 0.249 s" in lost.evidence) == ("Fail", True)
    both = latencies(0, 0, 0, 0, 0, 0, 20_000)
    assert judge(LATENCY, both, both).verdict == "Inconclusive"
    assert judge(LATENCY, stable, both).verdict == "Pass"


def test_percentiles_against_a_bound() -> None:
    gate = Gate(name="latency", metric="latencyP50", max="0.15", min_samples=100)
    assert judge(gate, latencies(0, 400, 300, 200, 50, 40, 10), None).verdict == "Pass"  # 700 of 1000 are below 0.144
    assert judge(gate, latencies(0, 100, 100, 200, 300, 200, 100), None).verdict == "Fail"  # 200 are
    assert judge(gate, latencies(0, 100, 310, 400, 100, 80, 10), None).verdict == "Inconclusive"


def test_means_look_to_the_side_that_is_worse() -> None:
    assert judge(TOKENS, tokens(12, 1_000), tokens(12.2, 10_000)).verdict == "Pass"
    assert judge(TOKENS, tokens(9, 1_000), tokens(12, 10_000)).verdict == "Fail"
    assert judge(TOKENS, tokens(15, 1_000), tokens(12, 10_000)).verdict == "Fail"

    def lead(mean: float, replies: int) -> Tally:
        return Tally(margins=tokens(mean, replies).tokens)

    assert judge(LEAD, lead(15, 1_000), lead(12, 10_000)).verdict == "Pass"  # surer is fine
    assert judge(LEAD, lead(9, 1_000), lead(12, 10_000)).verdict == "Fail"
    assert judge(LEAD, lead(9, 1_000), lead(0, 10_000)).verdict == "Inconclusive"


def test_means_wait_until_they_are_nearly_normal() -> None:
    eager = TOKENS.model_copy(update={"min_samples": 1})
    assert judge(eager, tokens(12, 40), tokens(12, 4_000)).verdict == "NoData"


@pytest.mark.parametrize("gate", [ERRORS, LATENCY, TOKENS, LEAD])
def test_no_data_is_neither_success_nor_failure(gate: Gate) -> None:
    plenty = replace(
        errors(10, 1_000), seconds=latencies(0, 900, 600, 300, 150, 40, 10).seconds, tokens=tokens(12, 900).tokens
    )
    plenty = replace(plenty, margins=plenty.tokens)
    for arms in [(None, None), (None, plenty), (plenty, None), (Tally(), plenty), (plenty, Tally())]:
        assert judge(gate, *arms).verdict == "NoData"
    assert judge(ERRORS, errors(199, 199), plenty) == Judgement(
        "NoData", 199, "errorRate: 199 and 1,000 of the control of at least 200 requests"
    )


@pytest.mark.parametrize(
    ("value", "count", "verdict"),
    [
        (0.05, 3, "Pass"),
        (0.1, 3, "Pass"),
        (0.11, 3, "Fail"),
        (INF, 3, "Fail"),
        (0.11, 2, "NoData"),
        (None, 9, "NoData"),
        (NAN, 9, "NoData"),
    ],
)
def test_queries(value: float | None, count: int, verdict: str) -> None:
    assert judge(QUERY, None, None, Answer(value, count)).verdict == verdict
    assert judge(QUERY, None, None).verdict == "NoData"


@pytest.mark.parametrize(
    ("gate", "candidate"),
    [
        (ERRORS, errors(NAN, 1_000)),
        (ERRORS, errors(10, NAN)),
        (ERRORS, errors(10, INF)),
        (ERRORS, errors(-1, 1_000)),
        (ERRORS, errors(10, -1_000)),
        (ERRORS, errors(1_100, 1_000)),
        (ERRORS, errors(1e300, 1e300)),
        (LATENCY, latencies(0, -900, 6_000, 300, 150, 40, 10)),
        (LATENCY, latencies(0, NAN, 6_000, 300, 150, 40, 10)),
        (LATENCY, latencies(900, 600)),
        (LATENCY, latencies(0, 900, 600, 300, bounds=(0.1, 0.3, 0.2))),
        (LATENCY, latencies(0, 900, 600, 300, bounds=(0.1, 0.2, 0.3))),
        (LATENCY, latencies(0, 900, 600, 300, bounds=(0.0, 0.2, 0.3))),
        (LATENCY, latencies(0, 900, 600, 300, bounds=(0.1, 0.2, INF))),
    ],
)
def test_garbage_is_inconclusive_and_says_why(gate: Gate, candidate: Tally) -> None:
    control = replace(errors(100, 10_000), seconds=latencies(0, 9_000, 6_000, 3_000, 1_500, 400, 100).seconds)
    found = judge(gate, candidate, control)
    assert found.verdict == "Inconclusive"
    assert found.evidence.startswith(f"{gate.metric}: ")


def test_buckets_far_from_the_percentile_change_nothing() -> None:
    """What the simulation in `bench` relies on."""
    fine = latencies(500, 400, 600, 300, 150, 40, 10)
    stable = latencies(5_000, 4_000, 6_000, 3_000, 1_500, 400, 100)

    def merged(tally: Tally) -> Tally:
        first, second, *rest = tally.seconds.counts
        return latencies(first + second, *rest, bounds=BOUNDS[1:])

    for scale in (0.2, 0.5, 1.0, 2.0):
        ours = latencies(*(count * scale for count in fine.seconds.counts))
        assert judge(LATENCY, ours, stable).verdict == judge(LATENCY, merged(ours), merged(stable)).verdict


def test_more_comparisons_make_failing_harder_and_passing_no_easier() -> None:
    ours, theirs = errors(30, 812), errors(66, 7_310)
    assert [judge(ERRORS, ours, theirs, comparisons=n).verdict for n in (1, 1_000_000)] == ["Fail", "Inconclusive"]


def test_an_a_a_check_fails_at_any_difference() -> None:
    same = differs(ERRORS, errors(200, 20_000), errors(195, 20_000))
    assert same.verdict == "Pass"
    assert differs(ERRORS, errors(5, 500), errors(5, 500)).verdict == "Inconclusive"
    for few, many in [(errors(100, 10_000), errors(250, 10_000)), (errors(250, 10_000), errors(100, 10_000))]:
        assert differs(ERRORS, few, many).verdict == "Fail"
    assert judge(ERRORS, errors(100, 10_000), errors(250, 10_000)).verdict == "Pass"  # better is no failure there
    assert (
        differs(SOUND, Tally(replies=9_000, degenerate=9), Tally(replies=9_000, degenerate=9)).verdict == "Inconclusive"
    )
    assert differs(TOKENS, tokens(12, 4_000), tokens(12.5, 4_000)).verdict == "Fail"
    assert differs(LATENCY, None, errors(1, 1)).verdict == "NoData"
    assert differs(QUERY, errors(1, 1), errors(1, 1)).verdict == "NoData"
