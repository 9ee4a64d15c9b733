"""What holds for any counts at all."""

from dataclasses import replace
from math import exp, inf
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dialogue_operator.api.rollout import Gate, Metric
from dialogue_operator.rollout.evidence import Answer, Histogram, Tally
from dialogue_operator.rollout.gates import differs, judge
from dialogue_operator.rollout.gates.mixture import of_a_mean, of_a_share, one_arm, two_arms
from dialogue_operator.rollout.gates.percentiles import Percentile, PercentileRatio
from dialogue_operator.rollout.gates.search import edge, least
from dialogue_operator.rollout.gates.shares import Share, ShareDifference

METRICS: tuple[Metric, ...] = get_args(Metric)
BOUNDS = (0.05, 0.06, 0.072, 0.0864, 0.1037, 0.1244, 0.1493, 0.1792)
GATES = some.builds(
    Gate,
    name=some.just("g"),
    metric=some.sampled_from(METRICS),
    margin=some.sampled_from(("0%", "0.5%", "15%", "100%", "2")),
    min_samples=some.sampled_from((1, 50, 200)),
) | some.builds(
    Gate,
    name=some.just("g"),
    metric=some.sampled_from(METRICS),
    max=some.sampled_from(("0", "2%", "0.1", "1", "40")),
    min_samples=some.sampled_from((1, 50, 200)),
)  # fmt: skip
ANYTHING = some.floats(allow_nan=True, allow_infinity=True) | some.integers(0, 5_000).map(float)
SOME = some.integers(0, 400).map(float)


def histograms(
    counts: some.SearchStrategy[float], bounds: tuple[float, ...] = BOUNDS
) -> some.SearchStrategy[Histogram]:
    filled = some.lists(counts, min_size=len(bounds) + 1, max_size=len(bounds) + 1).map(tuple)
    return filled.map(
        lambda c: Histogram(bounds, c, sum(n * b for n, b in zip(c, (*bounds, 2 * bounds[-1]), strict=True)))
    )


@some.composite
def tallies(draw: some.DrawFn) -> Tally:
    """Counts as revisions have them."""
    requests, replies, feedback = (draw(SOME) for _ in range(3))
    return Tally(
        requests=requests,
        errors=draw(some.integers(0, int(requests))),
        seconds=draw(histograms(SOME)),
        replies=replies,
        degenerate=draw(some.integers(0, int(replies))),
        tokens=draw(histograms(SOME, (1, 2, 4, 8, 16))),
        margins=draw(histograms(SOME, (0.0, 0.1, 0.2, 0.4))),
        feedback=feedback,
        negative=draw(some.integers(0, int(feedback))),
    )


@some.composite
def garbage(draw: some.DrawFn) -> Tally:
    """Numbers as a metrics backend that lies may send them."""
    broken = some.builds(
        Histogram,
        bounds=some.lists(ANYTHING, max_size=4).map(tuple) | some.just(BOUNDS),
        counts=some.lists(ANYTHING, max_size=9).map(tuple),
        total=ANYTHING,
    )
    numbers = {name: draw(ANYTHING) for name in ("requests", "errors", "replies", "degenerate", "feedback", "negative")}
    return Tally(**numbers, seconds=draw(broken), tokens=draw(broken), margins=draw(broken))


def times(tally: Tally, factor: int) -> Tally:
    def more(histogram: Histogram) -> Histogram:
        return replace(histogram, counts=tuple(factor * c for c in histogram.counts), total=factor * histogram.total)

    numbers = {
        name: factor * value for name, value in vars(tally).items() if not isinstance(value, Histogram)
    }  # fmt: skip
    return Tally(**numbers, seconds=more(tally.seconds), tokens=more(tally.tokens), margins=more(tally.margins))


@settings(max_examples=80, deadline=None)
@given(GATES, garbage() | tallies() | some.none(), garbage() | tallies() | some.none(), some.integers(-1, 10**6))
def test_no_input_raises(gate: Gate, ours: Tally | None, theirs: Tally | None, comparisons: int) -> None:
    for found in (judge(gate, ours, theirs, comparisons=comparisons), differs(gate, ours, theirs, comparisons)):
        assert found.verdict in ("Pass", "Fail", "Inconclusive", "NoData")
        assert found.samples >= 0
        assert 0 < len(found.evidence) <= 512
        assert "nan" not in found.evidence


@settings(max_examples=50, deadline=None)
@given(GATES, tallies(), tallies(), some.sampled_from((2, 5, 50)))
def test_more_of_the_same_never_turns_pass_into_fail(gate: Gate, ours: Tally, theirs: Tally, factor: int) -> None:
    before, after = judge(gate, ours, theirs), judge(gate, times(ours, factor), times(theirs, factor))
    assert {before.verdict, after.verdict} != {"Pass", "Fail"}
    assert after.verdict != "NoData" or before.verdict == "NoData"


@settings(max_examples=50, deadline=None)
@given(GATES, tallies(), tallies())
def test_no_data_below_the_minimum_and_no_verdict_from_it(gate: Gate, ours: Tally, theirs: Tally) -> None:
    found = judge(gate, ours, theirs)
    if found.samples < gate.min_samples:
        assert found.verdict in ("NoData", "Inconclusive")
    scarce = gate.model_copy(update={"min_samples": 100_000})
    assert judge(scarce, ours, theirs).verdict == "NoData"


@settings(max_examples=40, deadline=None)
@given(GATES, tallies(), tallies(), some.integers(1, 1000))
def test_caution_only_withholds(gate: Gate, ours: Tally, theirs: Tally, comparisons: int) -> None:
    """More comparisons never turn one verdict into its opposite, nor what is open into a Fail."""
    once, often = judge(gate, ours, theirs), judge(gate, ours, theirs, comparisons=comparisons)
    assert often.verdict in (once.verdict, "Inconclusive")


@settings(max_examples=50, deadline=None)
@given(some.integers(1, 3000), some.integers(1, 30_000), some.floats(0, 1), some.floats(0, 1))
def test_a_worse_candidate_never_fares_better(ours: int, theirs: int, part: float, control: float) -> None:
    gate = Gate(name="g", metric="errorRate", margin="0.5%", min_samples=1)
    order = {"Pass": 0, "Inconclusive": 1, "Fail": 2}
    stable = Tally(requests=theirs, errors=int(control * theirs))
    hits = int(part * ours)
    ranks = [
        order[judge(gate, Tally(requests=ours, errors=h), stable).verdict]
        for h in (hits, min(ours, hits + ours // 10 + 1))
    ]
    assert ranks[0] <= ranks[1]


@given(some.sampled_from((0.05, 0.5, 0.99, 1.0)), some.integers(-1, 3))
def test_a_query_is_as_it_stands(value: float, count: int) -> None:
    gate = Gate(name="g", query="x", max="0.5", min_samples=2)
    expected = "NoData" if count < 2 else "Pass" if value <= 0.5 else "Fail"
    assert judge(gate, None, None, Answer(value, count)).verdict == expected


# --- the mathematics against what can be summed up exactly --------------------------------------------------------------


def binomial(trials: int, share: float) -> list[float]:
    chances = [1.0]
    for _ in range(trials):
        chances = [a * (1 - share) + b * share for a, b in zip((*chances, 0.0), (0.0, *chances), strict=True)]
    return chances


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3, 0.95])
def test_evidence_against_the_truth_is_expected_to_be_one(share: float) -> None:
    """What makes it a test martingale: at any number of samples its mean under the hypothesis is 1."""
    for trials in (1, 7, 60):
        chances = binomial(trials, share)
        for mean in (
            sum(chance * exp(one_arm(hits, trials, share)) for hits, chance in enumerate(chances)),
            sum(chance * exp(of_a_share(hits, trials, share)) for hits, chance in enumerate(chances)),
            sum(
                a * b * exp(two_arms(ours, trials, share, theirs, trials, share))
                for ours, a in enumerate(chances)
                for theirs, b in enumerate(chances)
            ),
        ):
            assert mean == pytest.approx(1, rel=1e-6)


def test_evidence_against_a_smaller_share_is_expected_to_be_less() -> None:
    mean = sum(chance * exp(one_arm(hits, 60, 0.05)) for hits, chance in enumerate(binomial(60, 0.03)))
    assert mean < 1


def test_evidence_against_a_mean() -> None:
    """At nought no tilt gains anything; a single one of 0.3 would have e^(0.3·0.3·100/2) for it."""
    assert of_a_mean(0, 100) < 0
    assert of_a_mean(0.3, 100) < 0.3 * 0.3 * 100 / 2
    assert of_a_mean(0.6, 100) > of_a_mean(0.3, 100) > of_a_mean(-0.3, 100)


@settings(max_examples=40, deadline=None)
@given(
    some.integers(1, 60),
    some.integers(60, 400),
    some.integers(0, 200),
    some.integers(200, 4000),
    some.floats(-0.2, 0.2),
)
def test_the_least_over_all_shares_of_the_control_is_found(
    few: int, ours: int, hits: int, theirs: int, limit: float
) -> None:
    found = ShareDifference(Share(few, ours), Share(hits, theirs)).above(limit)
    shares = [max(0.0, -limit) + (1 - max(0.0, -limit)) * step / 4000 for step in range(4001)]
    exact = min(two_arms(few, ours, min(1.0, s + limit), hits, theirs, s) for s in shares)
    assert found <= exact + 0.05 or found >= 15


@settings(max_examples=40, deadline=None)
@given(histograms(SOME), histograms(SOME), some.floats(0.5, 2.0), some.sampled_from((0.5, 0.05)))
def test_the_least_over_all_percentiles_of_the_control_is_found(
    ours: Histogram, theirs: Histogram, ratio: float, slow: float
) -> None:
    if ours.samples < 50 or theirs.samples < 50:
        return
    a, b = Percentile(ours, slow), Percentile(theirs, slow)
    found = PercentileRatio(a, b).above(ratio)
    places = [b.marks[0] * (b.marks[-1] / b.marks[0]) ** (step / 2000) for step in range(2000)]
    exact = min(two_arms(a.beyond(ratio * u), a.samples, slow, b.beyond(u), b.samples, slow) for u in places)
    assert found <= exact + 0.1 or found >= 15


def test_searches() -> None:
    assert least(lambda x: (x - 3) ** 2, 0, 10, rounds=30) == pytest.approx(0, abs=1e-6)
    assert least(lambda x: x, 2, 10) == 2
    assert edge(lambda x: (x - 1) ** 2, 1, 0.1, 9, 4) == pytest.approx(3, rel=0.03)
    assert edge(lambda x: (x - 1) ** 2, 1, 0.1, -9, 4) == pytest.approx(-1, rel=0.06)
    assert edge(lambda x: (x - 1) ** 2, 1, 0.1, 2, 4) == 2
    assert edge(lambda x: inf if x > 5 else 0.0, 1, 0.1, 9, 4) == pytest.approx(5, rel=0.03)
