"""A pod's metrics page, down to the counters that gates need: pure."""

import math

from prometheus_client.parser import text_string_to_metric_families

from dialogue_operator.cluster.evidence.counting import Reading
from dialogue_operator.cluster.evidence.tallies import ALL_SAMPLES, Series

BORN = "process_start_time_seconds"
_BEGINNINGS = (f"{BORN} ", *(f"{sample}{{" for sample in ALL_SAMPLES))


def reading_of(page: str, model: str) -> Reading:
    """Counters of all revisions that the pod has. Raises ValueError for what is no page, or no count.

    Only the lines that matter are parsed: a page has hundreds.
    """
    found: dict[Series, float] = {}
    born = 0.0
    lines = [line for line in page.splitlines() if line.startswith(_BEGINNINGS)]
    if not lines and "# TYPE" not in page:
        raise ValueError("not a page of metrics")
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if not (math.isfinite(sample.value) and sample.value >= 0):
                raise ValueError(f"{sample.name} is {sample.value}")
            labels = sample.labels
            if sample.name == BORN:
                born = sample.value
            elif labels.get("model") == model:
                detail = labels.get(ALL_SAMPLES[sample.name], "")
                found[Series(sample.name, labels.get("revision", ""), detail)] = sample.value
    return Reading(found, born)
