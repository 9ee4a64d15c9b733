"""`make crash-points`: every write of every story, with a crash before it, a crash after it, and its answer lost."""

import argparse
import asyncio
import statistics
import sys
import uuid
from contextlib import contextmanager, nullcontext

from dialogue_operator.cluster.credentials import configuration
from support.inprocess import Workshop
from support.light import Light, light_cluster
from support.stand_in import kserve_rests, stand_in
from support.stories import STORIES, Interrupted, Teller, claim, tell_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--story", default="", help="only the stories whose name has this in it")
    parser.add_argument("--kserve", action="store_true", help="with KServe's own manager: an hour instead of minutes")
    given = parser.parse_args()
    with contextmanager(light_cluster)() as light, nullcontext() if given.kserve else kserve_rests(light):
        found = asyncio.run(tell(light, given.story, given.kserve))
    late = [one.seconds for one in found]
    bad = [one for one in found if one.problems]
    print(f"{len(found)} crash points, {sum(one.reached for one in found)} of them reached; another end: {len(bad)}")
    print(f"until the end: median {statistics.median(late):.1f} s, longest {max(late):.1f} s")
    sys.exit(1 if bad else 0)


async def tell(light: Light, word: str, kserve: bool) -> list[Interrupted]:
    namespace = f"crash-{uuid.uuid4().hex[:6]}"
    light.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, claim(namespace))
    workshop = Workshop(await configuration(light.kubeconfig))
    at_work = asyncio.create_task(asyncio.sleep(0) if kserve else stand_in(workshop.people))
    stories = [story for story in STORIES if word in story.name]
    try:
        return await tell_all(Teller(workshop, namespace), stories, tell=lambda one: print(one, flush=True))
    finally:
        at_work.cancel()
        await workshop.close()
        light.kubectl("delete", "namespace", namespace, "--wait=false")


if __name__ == "__main__":
    main()
