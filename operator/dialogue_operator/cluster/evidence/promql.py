"""What Prometheus is asked, and how its answers are read: pure.

`increase()` extrapolates to the edges of the window: three scrapes in a minute count for a third more requests than
were seen, and a test that counts on them errs more often than it says. So what is counted is the last value less the
first one, which is exact for a counter that only rises, and keeps what pods counted that are gone. Only where a counter
began anew within the window, for its pod crashed, does `increase()` answer.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dialogue_operator.api.base import Json
from dialogue_operator.cluster.evidence.tallies import Series

REVISION, SAMPLE = "revision", "sample"
LOOK_SECONDS = 10  # how far apart the looks are that a gate's own query is counted by
MOST_LOOKS = 120
_VARIABLE = re.compile(r"\$(revision|model|namespace)\b")


class Refused(ValueError):
    """Prometheus understood the request, and not the query."""


def counts_query(model: str, namespace: str, revisions: Iterable[str], samples: Mapping[str, str], seconds: int) -> str:
    """One query for everything: a vector with the labels `revision`, `sample` and the one that tells series apart."""
    where = f'namespace="{namespace}",model="{model}",revision=~"{"|".join(sorted(revisions))}"'
    return " or ".join(_counts(sample, label, f"{sample}{{{where}}}[{seconds}s]") for sample, label in samples.items())


def _counts(sample: str, label: str, window: str) -> str:
    grown = f"(max_over_time({window}) - min_over_time({window})) unless resets({window}) > 0 or increase({window})"
    by = f"{REVISION}, {label}" if label else REVISION
    return f'label_replace(sum by ({by}) ({grown}), "{SAMPLE}", "{sample}", "", "")'


def filled_in(query: str, model: str, namespace: str, revision: str) -> str:
    values = {"revision": revision, "model": model, "namespace": namespace}
    return _VARIABLE.sub(lambda found: values[found[1]], query)


def looks_query(query: str, scalar: bool, seconds: int) -> tuple[str, int]:
    """A query for how often `query` has had one finite answer, and the seconds that one such look stands for."""
    apart = max(LOOK_SECONDS, math.ceil(seconds / MOST_LOOKS))
    vector = f"vector(\n{query}\n)" if scalar else f"(\n{query}\n)"  # a query may end in a comment
    return f"count_over_time(({vector} > -Inf < Inf)[{seconds}s:{apart}s])", apart


def data_of(reply: Any, status: int) -> Json:
    """The `data` of an answer. Raises Refused, or ValueError where this is no answer of Prometheus."""
    if not isinstance(reply, dict):
        raise ValueError(f"status {status}, and no JSON object")
    if status in (400, 422) and reply.get("status") == "error":
        raise Refused(str(reply.get("error", "no reason"))[:200])
    data = reply.get("data")
    if status != 200 or reply.get("status") != "success" or not isinstance(data, dict):
        raise ValueError(f"status {status}: {str(reply.get('error', 'not an answer to a query'))[:200]}")
    return data


def read_counts(data: Json, samples: Mapping[str, str], revisions: Iterable[str]) -> dict[Series, float]:
    """Raises ValueError for anything but counts of what was asked for."""
    found: dict[Series, float] = {}
    known = frozenset(revisions)
    for labels, value in vector_of(data):
        sample, revision = labels.get(SAMPLE, ""), labels.get(REVISION, "")
        if sample not in samples or revision not in known:
            raise ValueError("an answer to something else than was asked")
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{sample} of {revision} counts {value}")
        found[Series(sample, revision, labels.get(samples[sample], ""))] = value
    return found


def number_of(data: Json) -> float | None:
    """The one finite number that this is, as a scalar or as a vector of one; else None."""
    values = [value for _, value in vector_of(data)]
    return values[0] if len(values) == 1 and math.isfinite(values[0]) else None


def vector_of(data: Json) -> list[tuple[dict[str, str], float]]:
    """Labels and values; a scalar is a vector of one. Raises ValueError for what is neither."""
    kind, result = data.get("resultType"), data.get("result")
    if kind == "scalar":
        return [({}, _value(result))]
    if kind != "vector" or not isinstance(result, list):
        raise ValueError(f"a {str(kind)[:20]} in place of numbers")
    return [(_labels(one), _value(one.get("value"))) for one in result if isinstance(one, dict)]


def _labels(one: Json) -> dict[str, str]:
    labels = one.get("metric")
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ValueError("a series without labels")
    return labels


def _value(pair: Any) -> float:
    if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str)):
        raise ValueError("a value that is none")
    return float(pair[1])
