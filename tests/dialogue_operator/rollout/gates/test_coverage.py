"""Simulated rollouts in short form; `make bench-gates` is the long one. Also where normal approximations go wrong."""

import numpy as np
import pytest

from bench import gate_rules
from bench.gate_rules import Ends
from bench.gates import AN_HOUR, ours
from bench.simulated_rollouts import AT_THE_MARGIN, CANDIDATE, CONTROL, WORLDS, Traffic, World
from dialogue_operator.api.rollout import Gate
from dialogue_operator.rollout.evidence import Tally
from dialogue_operator.rollout.gates import judge

SEED = 7


@pytest.mark.parametrize(
    ("world", "rollouts"), [(WORLDS[0], 100), (WORLDS[1], 100), (WORLDS[2], 100)], ids=lambda v: getattr(v, "name", v)
)
def test_whole_rollouts_end_rightly(world: World, rollouts: int) -> None:
    """At 400 requests/s, looked at every five seconds. Of a hundred at most one may go wrong on average; four are chance."""
    ends, _ = ours(world, 400, rollouts, SEED)
    wrong = ends.aborted if world.good else ends.promoted
    assert wrong.sum() <= 4
    assert (ends.aborted | ends.promoted).mean() > 0.95


@pytest.mark.parametrize("world", AT_THE_MARGIN, ids=lambda world: world.name)
def test_at_the_margin_itself_hardly_any_verdict_is_given(world: World) -> None:
    """Where each verdict is as wrong as it can be. For an hour, a look every five seconds: 1 % and 1 % are promised."""
    ends, traffic = Ends.open(100), Traffic(world, 100, 0.25, np.random.default_rng(SEED))
    passed = gate_rules.judged_step(ends, np.arange(100), traffic.counted(100, 120), traffic, AN_HOUR)
    assert ends.aborted.sum() <= 4
    assert len(passed) <= 4


@pytest.mark.parametrize("share", [0.0002, 0.002, 0.02])
def test_rare_errors_condemn_nobody(share: float) -> None:
    """No minimum of samples to speak of, a look at every error: at most one in a hundred A/A runs fails on average."""
    gate = Gate(name="g", metric="errorRate", margin="0%", min_samples=1)
    chance, failed = np.random.default_rng(SEED), 0
    for _ in range(100):
        ours_, theirs = (chance.random(500) < share).cumsum(), (chance.random(1_500) < share).cumsum()[2::3]
        ahead = 3 * ours_ > theirs  # only then can the verdict be Fail, and only a new error can turn it to that
        for n in np.flatnonzero(np.diff(ours_, prepend=0) & ahead):
            control = Tally(requests=3.0 * (n + 1), errors=float(theirs[n]))
            if judge(gate, Tally(requests=n + 1.0, errors=float(ours_[n])), control).verdict == "Fail":
                failed += 1
                break
    assert failed <= 4


def test_a_look_that_the_simulation_leaves_out_has_no_verdict() -> None:
    """Its screen is only a shortcut."""
    left_out = 0
    for world in WORLDS:
        counts = Traffic(world, 200, 0.25, np.random.default_rng(SEED)).counted(6, 60)
        failing, passing = gate_rules.screened(counts)
        for rollout, look in zip(*np.nonzero(~failing & ~passing), strict=True):
            if look % 5:
                continue
            ours_, theirs = (counts.tally(rollout, look, revision) for revision in (CANDIDATE, CONTROL))
            verdicts = [
                judge(gate, ours_, theirs, comparisons=gate_rules.COMPARISONS).verdict
                for gate in (gate_rules.ERRORS, gate_rules.LATENCY)
            ]
            assert "Fail" not in verdicts
            assert verdicts != ["Pass", "Pass"]
            left_out += 1
    assert left_out > 50
