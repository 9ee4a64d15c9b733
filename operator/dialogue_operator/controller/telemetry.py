"""What the operator says about itself: Prometheus metrics, and logs of one JSON object a line."""

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_OURS = "dialogue_operator"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROLLOUT_SECONDS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """One registry a process; gauges of the queue are read when they are scraped."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "dialogue_operator_reconcile_total", "Reconciles by result.", ["result"], registry=self.registry
        )
        self.reconcile_seconds = Histogram(
            "dialogue_operator_reconcile_seconds", "One reconcile.", buckets=_SECONDS, registry=self.registry
        )
        self.rollout_seconds = Histogram(
            "dialogue_operator_rollout_seconds",
            "A promoted rollout from its start to its promotion: all of it, and the part spent in reconciles.",
            ["part"],
            buckets=_ROLLOUT_SECONDS,
            registry=self.registry,
        )
        self.api_requests = Counter(
            "dialogue_operator_api_requests_total",
            "Calls to the API server by verb and status code; 0 is no answer.",
            ["verb", "code"],
            registry=self.registry,
        )
        self.leader = Gauge("dialogue_operator_leader", "1 while this process leads.", registry=self.registry)
        self.resync = Gauge(
            "dialogue_operator_resync_last_success_seconds",
            "Unix time of the last complete listing of all DialogueModels.",
            registry=self.registry,
        )

    def watch_queue(self, depth: Callable[[], float], oldest: Callable[[], float]) -> None:
        Gauge("dialogue_operator_workqueue_depth", "Keys that are due and wait.", registry=self.registry).set_function(
            depth
        )
        Gauge(
            "dialogue_operator_workqueue_oldest_seconds", "Age of the longest waiting key.", registry=self.registry
        ).set_function(oldest)

    def count_answer(self, verb: str, code: int) -> None:
        self.api_requests.labels(verb, str(code)).inc()


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.name.startswith(_OURS):  # libraries trace what is to be expected, too
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging() -> None:
    """Our own lines from INFO, those of libraries from WARNING; `extra={"fields": {...}}` adds keys."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(_OURS).setLevel(logging.INFO)
