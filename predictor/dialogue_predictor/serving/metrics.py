"""What this process tells Prometheus. Names come from `names`: they are a contract with dashboards and gates.

No prompt, reply, conversation or request id is a label or a value.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dialogue_predictor import names
from dialogue_predictor.inference.quality import degenerate
from dialogue_predictor.inference.request import Reply, ReplyRequest
from dialogue_predictor.serving.problems import Outcome

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
OUTCOMES: tuple[Outcome, ...] = ("ok", "client_error", "server_error", "shed", "cancelled")
KINDS = ("empty", "cut_off", "repetitive", "wrong_script")


class Metrics:
    """Also the backend's `Observer`."""

    def __init__(self, registry: CollectorRegistry, revision: str) -> None:
        def histogram(name: str, words: str, buckets: tuple[float, ...]) -> Histogram:
            family = Histogram(name, words, (names.LABEL_REVISION,), registry=registry, buckets=buckets)
            return family.labels(revision)

        def gauge(name: str, words: str) -> Gauge:
            return Gauge(name, words, (names.LABEL_REVISION,), registry=registry).labels(revision)

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(name, words, (names.LABEL_REVISION, *labels), registry=registry)

        requests = counter(names.METRIC_REQUESTS, "Inference requests by how they ended.", "outcome")
        self._requests = {outcome: requests.labels(revision, outcome) for outcome in OUTCOMES}
        kinds = counter(names.METRIC_DEGENERATE_REPLIES, "Replies that are wrong on their face.", "kind")
        self._degenerate = {kind: kinds.labels(revision, kind) for kind in KINDS}
        self._tokens = counter(names.METRIC_GENERATED_TOKENS, "Tokens of finished replies.").labels(revision)
        self._seconds = histogram(names.METRIC_REQUEST_SECONDS, "From a request's headers to its end.", SECONDS)
        self._first = histogram(
            names.METRIC_TIME_TO_FIRST_TOKEN_SECONDS, "From a streamed request to its first text.", SECONDS
        )
        self._queue = histogram(names.METRIC_QUEUE_SECONDS, "Waiting for a batch.", SECONDS)
        self._batch = histogram(names.METRIC_BATCH_SIZE, "Requests a batch begins with.", (1, 2, 4, 8, 16, 32, 64))
        margins = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
        self._margin = histogram(names.METRIC_BEAM_MARGIN, "The best score's lead over the second.", margins)
        self._pending = gauge(names.METRIC_PENDING_TOKENS, "Tokens still owed to requests, at most.")
        self._active = gauge(names.METRIC_ACTIVE_CONVERSATIONS, "Dialogues that are being answered now.")
        self._up = gauge(names.METRIC_BACKEND_UP, "Whether the backend is loaded and its last request worked.")
        self._up.set(0)

    def observe_request(self, outcome: Outcome, seconds: float) -> None:
        self._requests[outcome].inc()
        if outcome in ("ok", "server_error"):  # what we made somebody wait for
            self._seconds.observe(seconds)

    def observe_reply(self, request: ReplyRequest, reply: Reply) -> None:
        self._tokens.inc(reply.tokens)
        if reply.margin is not None:
            self._margin.observe(reply.margin)
        for kind in degenerate(reply, request.turns[-1].text):
            self._degenerate[kind].inc()

    def observe_first(self, seconds: float) -> None:
        self._first.observe(seconds)

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

    def pending(self, tokens: int) -> None:
        self._pending.set(tokens)
