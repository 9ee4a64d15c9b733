"""A predictor whose limits are small, whose backend is at fault or whose shadow is elsewhere, for `support.serving.served`.

`python -m support.served '{"limits": {…}, "backend": "hangs", "loads_when": "FILE"}' --http-port N --grpc-port N`
`bundle`, a folder, in place of `backend` makes a sound one; `shadow_at` is the URL of whatever revision shadows it.
"""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

from dialogue_predictor.artifacts.bundle import open_bundle
from dialogue_predictor.backends.base import GenerationRequest, Observer, Part
from dialogue_predictor.config.source import Serving
from dialogue_predictor.config.spec import ModelSource, ServingSpec
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Hypothesis, Outcome
from dialogue_predictor.inference.engine import DialogueEngine
from dialogue_predictor.serving.limits import Limits
from dialogue_predictor.serving.logs import configure_logs
from dialogue_predictor.serving.ports import claim
from dialogue_predictor.serving.server import Predictor
from dialogue_predictor.serving.shadow import in_cluster
from support.serving import NAME, REVISION
from support.tiny_bundles import POSITIONS, tiny_tokenizer

FINE = Outcome((Hypothesis((70, 71), -0.5, True),))
SECRET = "/secret/path leaked by an exception"


class Faulty:
    """A backend that warms up and then hangs, crashes, or does so in the middle of a stream."""

    pending_tokens = 0

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._warm = False

    async def warm_up(self, options: GenerationOptions) -> None:
        return None

    async def generate(self, request: GenerationRequest) -> Outcome:
        if self._warm:
            await self._fail()
        self._warm = True
        return FINE

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Part]:
        if self._fault.endswith("later"):
            yield Part((70, 71))
        await self._fail()
        yield Part((), FINE)

    async def close(self) -> None:
        return None

    async def drain(self) -> None:
        return None

    async def _fail(self) -> None:
        if self._fault.startswith("hangs"):
            await asyncio.Event().wait()
        raise RuntimeError(SECRET)


def main() -> None:
    how = json.loads(sys.argv[1])

    def load(observer: Observer) -> DialogueEngine:
        while "loads_when" in how and not Path(how["loads_when"]).exists():
            threading.Event().wait(0.02)
        if "bundle" in how:
            from dialogue_predictor.inference.loading import load_engine  # imports torch, which takes seconds

            return load_engine(open_bundle(how["bundle"]), serving.spec, observer)
        return DialogueEngine(Faulty(how["backend"]), tiny_tokenizer(), max_turns=12, positions=POSITIONS)

    configure_logs()
    serving = Serving(NAME, REVISION, ServingSpec(model=ModelSource(uri="nowhere")))
    limits = Limits(**how.get("limits", {}))
    http_port, grpc_port = int(sys.argv[3]), sys.argv[5]
    listener = claim("127.0.0.1", http_port, "--http-port")

    def url_of(model: str, revision: str) -> str:
        return str(how.get("shadow_at") or in_cluster(model, revision))

    asyncio.run(Predictor(serving, load, listener, f"127.0.0.1:{grpc_port}", limits, url_of).run())


if __name__ == "__main__":
    main()
