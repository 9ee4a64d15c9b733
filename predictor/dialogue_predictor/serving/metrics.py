"""What this process tells Prometheus. Names come from `names`: they are a contract with dashboards and gates.

No prompt, reply, conversation or request id is a label or a value. What is told of requests is told of the revision
that answered, which may be a variant; what is told of the process (its queue, its batches) is its own revision's.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dialogue_predictor import names
from dialogue_predictor.serving.arms import MOST_REVISIONS
from dialogue_predictor.serving.families import SECONDS, Families
from dialogue_predictor.serving.revision_metrics import Result, RevisionMetrics

__all__ = ["Metrics", "Result", "RevisionMetrics"]


class Metrics:
    """Also the backend's `Observer`."""

    def __init__(self, registry: CollectorRegistry, model: str, revision: str) -> None:
        labels = (names.LABEL_MODEL, names.LABEL_REVISION)

        def histogram(name: str, words: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, words, labels, registry=registry, buckets=buckets).labels(model, revision)

        def gauge(name: str, words: str) -> Gauge:
            return Gauge(name, words, labels, registry=registry).labels(model, revision)

        faults = Counter(
            names.METRIC_ENGINE_FAULTS, "Faults that each failed a batch's requests.", labels, registry=registry
        )
        self._faults = faults.labels(model, revision)
        self._queue = histogram(names.METRIC_QUEUE_SECONDS, "Waiting until admitted to a batch.", SECONDS)
        self._batch = histogram(
            names.METRIC_BATCH_SIZE, "Requests in a batch whenever some are admitted.", (1, 2, 4, 8, 16, 32, 64)
        )
        self._pending = gauge(names.METRIC_PENDING_TOKENS, "Tokens still owed to requests, at most.")
        self._active = gauge(names.METRIC_ACTIVE_CONVERSATIONS, "Dialogues that are being answered now.")
        self._up = gauge(names.METRIC_BACKEND_UP, "Whether the backend is loaded and its last request worked.")
        self._up.set(0)
        self._model = model
        self._families = Families(registry)
        self._own = RevisionMetrics(self._families, model, revision)
        self._variants: OrderedDict[str, RevisionMetrics] = OrderedDict()

    def of(self, revision: str) -> RevisionMetrics:
        """The numbers of one revision. Those of the variant that was not heard of for longest go when there are too
        many: a process may live through any number of them."""
        if revision == self._own.revision:
            return self._own
        if revision not in self._variants:
            if len(self._variants) >= MOST_REVISIONS - 1:
                self._families.remove(self._variants.popitem(last=False)[0])
            self._variants[revision] = RevisionMetrics(self._families, self._model, revision)
        self._variants.move_to_end(revision)
        return self._variants[revision]

    def backend_up(self, up: bool) -> None:
        self._up.set(up)

    @contextmanager
    def active(self) -> Iterator[None]:
        self._active.inc()
        try:
            yield
        finally:
            self._active.dec()

    def queued(self, seconds: float) -> None:
        self._queue.observe(seconds)

    def batched(self, size: int) -> None:
        self._batch.observe(size)

    def failed(self, requests: int) -> None:
        """One fault, however many requests it failed: they are counted with the others that were not answered."""
        self._faults.inc()

    def pending(self, tokens: int) -> None:
        self._pending.set(tokens)
