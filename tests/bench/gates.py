"""`make bench-gates`: how often rollouts end wrongly, and how soon they end, by our gates and by others' rules.

Every row is of the same simulated rollouts: 5 % → 25 % → 50 %, held for five minutes each and looked at every five
seconds, on one core.
"""

import argparse
import time
import zlib

import numpy as np

from bench import gate_rules as rules
from bench import other_rules as others
from bench.gate_rules import Ends
from bench.simulated_rollouts import AT_THE_MARGIN, ERRORING, LOOK_SECONDS, STEPS, WORLDS, Counts, Traffic, World

RATES = (10, 50, 200)
AN_HOUR = 3600 // LOOK_SECONDS


def ours(world: World, rate: float, rollouts: int, seed: int) -> tuple[Ends, list[Counts]]:
    """Our judge; and what happened in the first ten minutes of each step, for the others."""
    ends, active, first = Ends.open(rollouts), np.arange(rollouts), []
    for number, share in enumerate(STEPS):
        chance = np.random.default_rng([seed, number, int(rate), zlib.crc32(world.name.encode())])
        traffic = Traffic(world, rate, share, chance)
        first.append(traffic.counted(rollouts, 2 * rules.HOLD_LOOKS))
        active = rules.judged_step(ends, active, first[-1], traffic)
    ends.promoted[active] = True
    return ends, first


def row(name: str, ends: Ends, world: World) -> str:
    ended = ends.aborted | ends.promoted
    wrong = ends.aborted if world.good else ends.promoted
    took = f"{np.median(ends.seconds[ended]) / 60:7.1f} min" if ended.any() else "      -"
    shares = (f"{100 * part.mean():6.1f} %" for part in (ends.promoted, ends.aborted, ~ended))
    return f"| {name:34} | {' | '.join(shares)} | {100 * wrong.mean():6.1f} % | {took} |"


def table(world: World, rate: float, rollouts: int, seed: int) -> str:
    ends, steps = ours(world, rate, rollouts, seed)
    rows = [
        row("sequential gates (ours)", ends, world),
        row("fixed thresholds against stable", others.fixed_thresholds(steps), world),
        row("Argo Rollouts, failureLimit 0", others.argo(steps, 0), world),
        row("Argo Rollouts, failureLimit 3", others.argo(steps, 3), world),
        row("Flagger, threshold 5", others.flagger(steps, 5), world),
    ]
    head = f"| {rate} requests/s: {world.name} | promoted | aborted | undecided | wrong | median time |"
    return "\n".join((head, *rows))


def harm(rate: float, rollouts: int, seed: int) -> str:
    """What a candidate with 5 % errors costs until the verdict, beside what five minutes at 5 % of traffic cost."""
    ends, _ = ours(ERRORING, rate, rollouts, seed)
    fixed = rate * 300 * STEPS[0]
    return (
        f"| {rate} | {np.median(ends.seconds) / 60:.1f} min | {np.median(ends.requests):,.0f} | {np.median(ends.errors):.0f} "
        f"| {fixed:,.0f} | {fixed * ERRORING.errors:.0f} | {100 * ends.promoted.mean():.1f} % |"
    )


def at_the_margin(world: World, rollouts: int, seed: int) -> str:
    """Where each verdict is as wrong as can be: one step of 25 % at 100 requests/s, a look every five seconds for an hour."""
    ends, traffic = Ends.open(rollouts), Traffic(world, 100, STEPS[1], np.random.default_rng(seed))
    passed = rules.judged_step(
        ends, np.arange(rollouts), traffic.counted(rollouts, 2 * rules.HOLD_LOOKS), traffic, AN_HOUR
    )
    return f"| {world.name} | {100 * len(passed) / rollouts:.1f} % | {100 * ends.aborted.mean():.1f} % |"


def main() -> None:
    reading = argparse.ArgumentParser(description=__doc__)
    reading.add_argument("--rollouts", type=int, default=1000, help="how many of each world and rate")
    reading.add_argument("--seed", type=int, default=1)
    reading.add_argument("--rates", type=int, nargs="*", default=RATES, help="requests a second")
    asked = reading.parse_args()
    began = time.monotonic()
    for rate in asked.rates:
        for world in WORLDS:
            print(table(world, rate, asked.rollouts, asked.seed), flush=True)
    print(
        "| 5 % errors, requests/s | until the verdict | requests | errors | in five minutes: requests | errors | promoted |"
    )
    for rate in asked.rates:
        print(harm(rate, asked.rollouts, asked.seed), flush=True)
    print("| a candidate just at the margin, one step for an hour | passed | failed |")
    for world in AT_THE_MARGIN:
        print(at_the_margin(world, asked.rollouts, asked.seed), flush=True)
    print(f"{asked.rollouts} rollouts a row, seed {asked.seed}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
