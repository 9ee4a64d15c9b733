"""The metrics that tell revisions apart, and their buckets."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from dialogue_predictor import names

Buckets = tuple[float, ...]

SECONDS: Buckets = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
# A gate compares percentiles of two revisions: neighbours differ by less than a fifth, from 5 ms to 60 s.
FINE_SECONDS: Buckets = tuple(float(f"{0.005 * 12000 ** (step / 52):.4g}") for step in range(53))
TOKENS: Buckets = (
    1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 48, 58, 70, 84, 100, 120, 145, 175, 210, 256,
)  # fmt: skip
MARGINS: Buckets = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)


class Families:
    def __init__(self, registry: CollectorRegistry) -> None:
        labels = (names.LABEL_MODEL, names.LABEL_REVISION)

        def counter(name: str, words: str, *more: str) -> Counter:
            return Counter(name, words, (*labels, *more), registry=registry)

        def histogram(name: str, words: str, buckets: Buckets, *more: str) -> Histogram:
            return Histogram(name, words, (*labels, *more), registry=registry, buckets=buckets)

        self.requests = counter(names.METRIC_REQUESTS, "Inference requests by how they ended.", "outcome")
        self.seconds = histogram(names.METRIC_REQUEST_SECONDS, "From a request's headers to its end.", FINE_SECONDS)
        self.first = histogram(
            names.METRIC_TIME_TO_FIRST_TOKEN_SECONDS, "From a streamed request to its first text.", FINE_SECONDS
        )
        self.replies = counter(names.METRIC_REPLIES, "Replies, sound or wrong on their face.", "quality")
        self.degenerate = counter(names.METRIC_DEGENERATE_REPLIES, "Replies that are wrong on their face.", "kind")
        self.tokens = counter(names.METRIC_GENERATED_TOKENS, "Tokens of finished replies.")
        self.reply_tokens = histogram(names.METRIC_REPLY_TOKENS, "Tokens of one finished reply.", TOKENS)
        self.margin = histogram(names.METRIC_BEAM_MARGIN, "The best score's lead over the second.", MARGINS)
        self.feedback = counter(names.METRIC_FEEDBACK, "Votes of users.", "vote")
        self.switches = counter(names.METRIC_VERSION_SWITCHES, "Turns that came for a revision that is not here.")
        self.shadow = counter(
            names.METRIC_SHADOW, "Copies for a shadow, by how its reply compares.", "shadow", "result"
        )
        self.shadow_seconds = histogram(
            names.METRIC_SHADOW_SECONDS, "From a copy's sending to its reply.", FINE_SECONDS, "shadow"
        )
        self._all = [family for family in vars(self).values() if isinstance(family, Counter | Histogram)]

    def remove(self, revision: str) -> None:
        """Tell no more of a revision."""
        for family in self._all:
            family.remove_by_labels({names.LABEL_REVISION: revision})
