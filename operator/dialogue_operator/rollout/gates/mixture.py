"""Evidence that may be looked at any time: logarithms of test martingales for counts and for means.

Under its hypothesis a test martingale starts at 1, stays nonnegative and is expected not to grow. By Ville's inequality
it ever reaches 1/alpha with a probability of at most alpha, however often one looks and whenever one stops.

For each `tilt` the Cramér-Chernoff process exp(tilt · hits − trials · log E exp(tilt · hit)) is one, for counts exactly so
at every sample size: no normal approximation, so that nought or one error of a few hundred is weighed for what it is.
Which tilt grows fastest depends on the unknown truth, so they are mixed (Robbins 1970, "Statistical methods related to
the law of the iterated logarithm"; Howard, Ramdas, McAuliffe & Sekhon 2021, "Time-uniform, nonparametric,
nonasymptotic confidence sequences", Annals of Statistics 49(2), section 3, discrete mixtures). A tilt is a difference of
log odds. The grid below spends most of its weight where canaries are decided, at effects that some hundreds to some ten
thousands of requests can show (0.1 to 1.2: from 10 % more errors to three times as many), and the rest on its
neighbours down to effects that need a million.

Two arms have a nuisance: the control's own share. A hypothesis on the difference is a curve of pairs (candidate's share,
control's share), and is refuted when all its points are. At each point both arms are tilted against each other, in
proportion to their sizes: to first order that looks at their difference alone, whatever the control's share is, and so
costs what one parameter costs, not two. It is averaged with a martingale of the control alone (a Beta mixture), which
refutes the points that are far from what the control shows: otherwise a share of 50 % with its large variance could
explain anything. An average of martingales is one. (The idea of betting on two samples at once: Turner, Ly & Grünwald
2024, "Generic E-variables for exact sequential k-sample tests that allow for optional stopping"; for rates of errors in
canaries: Lindon & Malek 2022, "Anytime-valid inference for multinomial count data".) The proportion of the arms' sizes
is taken as fixed by the weights; a share that drifts for both arms alike does no harm, as the logarithm is concave.
"""

from math import exp, expm1, inf, lgamma, log, log1p

_WEIGHED = {
    3.0: 1, 1.9: 2, 1.2: 3, 0.75: 4, 0.45: 4, 0.3: 4, 0.18: 3, 0.11: 2, 0.07: 1, 0.045: 1, 0.028: 1, 0.017: 1,
}  # fmt: skip
TILTS = tuple((tilt, log(weight / sum(_WEIGHED.values()))) for tilt, weight in _WEIGHED.items())
OF_CONTROL = 0.1  # what part of the average the martingale of the control alone has
_SMALLEST = -1 + 1e-15  # of a control that is sure to hit, tilted down: what is left rounds to nothing


def one_arm(hits: float, trials: float, share: float) -> float:
    """Log evidence against: the share is at most this."""
    return _sum([weight + tilt * hits - trials * log1p(share * expm1(tilt)) for tilt, weight in TILTS])


def two_arms(
    hits: float, trials: float, share: float, control_hits: float, control_trials: float, control_share: float
) -> float:
    """Log evidence against one pair: the candidate's share is at most `share`, the control's is `control_share`."""
    larger = max(trials, control_trials)
    ours, theirs = control_trials / larger, trials / larger  # tilts in proportion, the smaller arm's being a whole one
    logs = []
    for tilt, weight in TILTS:
        up, down = tilt * ours, -tilt * theirs
        lost = trials * log1p(share * expm1(up)) + control_trials * log1p(max(control_share * expm1(down), _SMALLEST))
        logs.append(weight + up * hits + down * control_hits - lost)
    against = _sum(logs)
    alone = of_a_share(control_hits, control_trials, control_share)
    return _sum([log(1 - OF_CONTROL) + against, log(OF_CONTROL) + alone])


def of_a_share(hits: float, trials: float, share: float) -> float:
    """Log evidence against: the share is just this (Robbins' mixture with a Beta(1/2, 1/2) prior); convex in `share`."""
    misses = trials - hits
    mixed = lgamma(hits + 0.5) + lgamma(misses + 0.5) - lgamma(trials + 1) - 2 * lgamma(0.5)
    return mixed - _times_log(hits, share) - _times_log(misses, 1 - share)


def of_a_mean(excess: float, samples: float) -> float:
    """Log evidence against: the mean is at most what it is compared with; `excess` is in standard deviations.

    The normal counterpart, with the variance estimated: valid in the limit (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas
    2024, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52(6)).
    """
    return _sum([weight + samples * (tilt * excess - tilt * tilt / 2) for tilt, weight in TILTS])


def _times_log(count: float, share: float) -> float:
    if count <= 0:
        return 0.0
    return count * log(share) if share > 0 else -inf


def _sum(logs: list[float]) -> float:
    top = max(logs)
    return top if top in (inf, -inf) else top + log(sum([exp(x - top) for x in logs]))
