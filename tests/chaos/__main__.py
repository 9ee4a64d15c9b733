"""`make chaos`: dice choose a story, a fault and its moment, over and over, several models at a time.

After each episode the end must be that of the story without a fault, and no route may ever have had weights that do not
sum to 100. The dice of an episode are its own: a failed one is replayed by the command that is printed with it.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.outage import SECONDS, outage
from dialogue_operator.cluster.credentials import configuration
from support.faults import FAULTS, meddle, storm
from support.inprocess import HASTY, POINT_MOMENTS, Key, Offence, Point, Workshop
from support.kube import proxy_to
from support.light import Light, light_cluster
from support.stories import STORIES, NotTheEnd, Story, Teller, Told, claim, difference

AT_ONCE = 6
BY_HAND = "people meddle by hand"


@dataclass(frozen=True)
class Episode:
    number: int
    story: Story
    faults: tuple[tuple[str, float, float], ...]  # which, after how many seconds, for how many
    point: Point | None

    def __str__(self) -> str:
        faults = "; ".join(f"{fault} after {after:.1f} s for {seconds:.1f} s" for fault, after, seconds in self.faults)
        return f"episode {self.number}: {self.story.name}; {faults}" + (f"; {self.point}" if self.point else "")


def thrown(seed: int, number: int) -> Episode:
    dice = random.Random(f"{seed}:{number}")
    faults = tuple(
        (dice.choice([*FAULTS, BY_HAND]), dice.uniform(0, 6), dice.uniform(1, 10)) for _ in range(dice.randint(1, 3))
    )
    point = Point(dice.randint(1, 20), dice.choice(POINT_MOMENTS)) if dice.random() < 0.5 else None
    return Episode(number, dice.choice(STORIES), faults, point)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--episode", type=int, help="only this one")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with contextmanager(light_cluster)() as light, tempfile.TemporaryDirectory() as folder:
        failed = asyncio.run(Chaos(light, Path(folder), given.seed).run(given.minutes * 60, given.episode))
        problems = outage(light, Path(folder)) if given.episode is None else []
        print(f"an API server that is away for {SECONDS:.0f} s: {'; '.join(problems) or 'ok'}", flush=True)
    sys.exit(1 if failed or problems else 0)


class Chaos:
    def __init__(self, light: Light, folder: Path, seed: int) -> None:
        self._light, self._folder, self._seed = light, folder, seed
        self._namespace = f"chaos-{uuid.uuid4().hex[:6]}"
        self._calm: dict[str, Told] = {}

    async def run(self, seconds: float, only: int | None) -> int:
        """How many episodes failed."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._namespace}}
        self._light.apply(namespace, claim(self._namespace))
        calm = Workshop(await configuration(self._light.kubeconfig))
        teller = Teller(calm, self._namespace)
        told = await asyncio.gather(*(teller.tell(story, f"calm-{n}-model") for n, story in enumerate(STORIES)))
        self._calm = {story.name: one for story, one in zip(STORIES, told, strict=True)}
        await calm.close()
        until, numbers = time.monotonic() + seconds, iter([only] if only is not None else range(10**9))
        results: list[bool] = []

        async def one_after_the_other() -> None:
            for number in numbers:
                results.append(await self._episode(thrown(self._seed, number)))
                if time.monotonic() > until:
                    return

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
        self._light.kubectl("delete", "namespace", self._namespace, "--wait=false")
        print(f"{len(results)} episodes, {results.count(False)} failed", flush=True)
        return results.count(False)

    async def _episode(self, episode: Episode) -> bool:
        own = self._folder / str(episode.number)
        own.mkdir()
        dice = random.Random(f"{self._seed}:{episode.number}:calls")
        direct = await configuration(self._light.kubeconfig)
        with proxy_to(self._light.kubeconfig, own) as proxy:
            workshop = Workshop(await configuration(proxy.kubeconfig(own)), HASTY, direct)

            async def weather(key: Key) -> None:
                for fault, after, seconds in episode.faults:
                    if fault == BY_HAND:
                        await meddle(workshop, key, dice)
                    else:
                        await storm(proxy, fault, dice, after, seconds)

            try:
                told = await Teller(workshop, self._namespace).tell(
                    episode.story, f"chaos-{episode.number}-model", episode.point, weather
                )
                problems = difference(told.end, self._calm[episode.story.name].end)
            except (NotTheEnd, Offence) as error:
                problems = [str(error)]
            finally:
                await workshop.close()
        print(f"{'FAILED' if problems else 'ok    '} {episode}", flush=True)
        if problems:
            print(
                f"    {'; '.join(problems)}\n    replay: make chaos SEED={self._seed} EPISODE={episode.number}",
                flush=True,
            )
        return not problems


if __name__ == "__main__":
    main()
