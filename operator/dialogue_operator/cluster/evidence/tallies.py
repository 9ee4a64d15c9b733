"""From counts of the predictors' metrics to tallies, pure: both sources end here, so both mean the same by a request."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

from dialogue_operator import names
from dialogue_operator.api.rollout import Gate
from dialogue_operator.rollout.evidence import Histogram, Tally

BUCKET, SUM = "_bucket", "_sum"
COUNTERS = {names.METRIC_REQUESTS: "outcome", names.METRIC_REPLIES: "quality", names.METRIC_FEEDBACK: "vote"}
HISTOGRAMS = {
    "latencyP50": names.METRIC_REQUEST_SECONDS,
    "latencyP95": names.METRIC_REQUEST_SECONDS,
    "latencyP99": names.METRIC_REQUEST_SECONDS,
    "tokensPerReply": names.METRIC_REPLY_TOKENS,
    "beamMargin": names.METRIC_BEAM_MARGIN,
}


class Series(NamedTuple):
    """One time series, summed over pods."""

    sample: str  # as it is exposed: with _total, _bucket or _sum
    revision: str
    detail: str  # the value of its one further label, such as the outcome; empty where it has none


def samples_of(histograms: Iterable[str]) -> dict[str, str]:
    """Each sample of all counters and of these histograms, with the label that tells its series apart."""
    found = dict(COUNTERS)
    for name in sorted(set(histograms)):
        found |= {name + BUCKET: "le", name + SUM: ""}
    return found


def samples_for(gates: Sequence[Gate]) -> dict[str, str]:
    """Those that these gates need: buckets are many, so only where somebody looks at them."""
    return samples_of(HISTOGRAMS[gate.metric] for gate in gates if gate.metric in HISTOGRAMS)


ALL_SAMPLES = samples_of(HISTOGRAMS.values())


def tallies(counts: Mapping[Series, float], revisions: Iterable[str]) -> dict[str, Tally]:
    """By revision; one that nothing is known of is left out. Raises ValueError for a bucket without a readable bound."""
    by_revision: dict[str, dict[Series, float]] = {}
    for series, count in counts.items():
        by_revision.setdefault(series.revision, {})[series] = count
    return {revision: _tally(by_revision[revision], revision) for revision in revisions if revision in by_revision}


def _tally(counts: Mapping[Series, float], revision: str) -> Tally:
    def of(sample: str, detail: str = "") -> float:
        return counts.get(Series(sample, revision, detail), 0.0)

    def histogram(name: str) -> Histogram:
        buckets = [(series.detail, count) for series, count in counts.items() if series.sample == name + BUCKET]
        return _histogram(buckets, of(name + SUM))

    errors, degenerate = of(names.METRIC_REQUESTS, "server_error"), of(names.METRIC_REPLIES, "degenerate")
    negative = of(names.METRIC_FEEDBACK, "down")
    return Tally(
        requests=of(names.METRIC_REQUESTS, "ok") + errors,
        errors=errors,
        seconds=histogram(names.METRIC_REQUEST_SECONDS),
        replies=of(names.METRIC_REPLIES, "sound") + degenerate,
        degenerate=degenerate,
        tokens=histogram(names.METRIC_REPLY_TOKENS),
        margins=histogram(names.METRIC_BEAM_MARGIN),
        feedback=of(names.METRIC_FEEDBACK, "up") + negative,
        negative=negative,
    )


def _histogram(buckets: Iterable[tuple[str, float]], total: float) -> Histogram:
    """From counts at or below each bound. Where scrapes caught a pod in mid-update, no bucket is below zero."""
    found = sorted((float(bound), count) for bound, count in buckets)
    if not found:
        return Histogram()
    cumulative = [0.0]
    for _, count in found:
        cumulative.append(max(count, cumulative[-1]))
    counts = [above - below for below, above in pairwise(cumulative)]
    bounds = tuple(bound for bound, _ in found if bound < inf)
    return Histogram(bounds, tuple(counts) if found[-1][0] == inf else (*counts, 0.0), total)
