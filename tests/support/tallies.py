"""What a revision did, as gates see it: so many requests, so many errors, so fast."""

from dialogue_operator.rollout.evidence import Histogram, Tally

BOUNDS = tuple(0.005 * 1.15**power for power in range(68))


def tally(
    requests: int = 10_000, errors: int = 0, seconds: float = 0.2, degenerate: int = 0, negative: int = 0
) -> Tally:
    """Latencies spread evenly over a factor of two around `seconds`; every request has a reply of 12 tokens."""
    latencies = [0.0] * (len(BOUNDS) + 1)
    for number in range(100):
        value = seconds * (0.7 + 0.7 * number / 100)
        latencies[next((i for i, bound in enumerate(BOUNDS) if value <= bound), len(BOUNDS))] += requests / 100
    replies = requests - errors
    return Tally(
        requests=requests,
        errors=errors,
        seconds=Histogram(BOUNDS, tuple(latencies), requests * seconds),
        replies=replies,
        degenerate=degenerate,
        tokens=Histogram((8.0, 16.0, 32.0), (0.0, float(replies), 0.0, 0.0), 12.0 * replies),
        feedback=requests / 10,
        negative=negative,
    )
