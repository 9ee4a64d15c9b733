"""One predictor: KServe's HTTP and gRPC servers over one engine, from the first socket to the last answer.

Both servers listen before the model is there, so that a liveness probe is answered while weights load; readiness
follows the engine. On a signal both stop taking requests at once and finish the ones they have.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from time import perf_counter

from fastapi import FastAPI
from grpc import aio
from prometheus_client import REGISTRY

from dialogue_predictor.backends.base import Observer
from dialogue_predictor.config.source import Serving
from dialogue_predictor.errors import DialogueError, LoadFailed, RequestError
from dialogue_predictor.inference.engine import DialogueEngine
from dialogue_predictor.inference.request import ReplyRequest
from dialogue_predictor.serving.answers import Answers
from dialogue_predictor.serving.arms import Arm
from dialogue_predictor.serving.calls import Admission
from dialogue_predictor.serving.grpc_edge import Gate, Servicer, grpc_server
from dialogue_predictor.serving.guard import Guard
from dialogue_predictor.serving.http import routes
from dialogue_predictor.serving.limits import Limits
from dialogue_predictor.serving.metrics import Metrics
from dialogue_predictor.serving.model import FixedRepository, ServedModel, StrictPlane
from dialogue_predictor.serving.reception import Reception
from dialogue_predictor.serving.rest import Rest
from dialogue_predictor.serving.shadow import Mirror, in_cluster
from dialogue_predictor.text.dialogue import Turn

Load = Callable[[Observer], DialogueEngine]
log = logging.getLogger("dialogue.serving")


class Predictor:
    """Belongs to the event loop in which `run` is awaited. `load` runs on a thread of its own; `url_of` says where
    another revision of a model answers, should it shadow this one."""

    def __init__(
        self,
        serving: Serving,
        load: Load,
        listener: socket.socket,
        grpc_address: str,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        url_of: Callable[[str, str], str] = in_cluster,
    ) -> None:
        self._serving = serving
        self._load = load
        self._limits = limits
        self._listener = listener
        self._metrics = metrics = Metrics(REGISTRY, serving.name, serving.revision)
        self._mirror = Mirror(serving.name, metrics, url_of)
        self._answers = Answers(metrics, self._mirror)
        self._admission = Admission(limits.in_flight, limits.request_seconds)

        def ready() -> bool:
            return self._answers.ready and not self._admission.draining

        reception = Reception(Arm(serving.revision, serving.spec.generation), metrics)
        repository = FixedRepository()
        repository.update(ServedModel(serving.name, self._answers, ready))
        plane = StrictPlane(repository, serving.name)
        self._rest = Rest(plane, limits)
        app = FastAPI(openapi_url=None)
        app.include_router(routes(serving.name, self._answers, plane, reception, metrics))
        self._app = Guard(self._rest.application(app), self._admission, metrics, reception, limits)
        gate = Gate(self._admission, metrics, reception)

        def make_grpc() -> aio.Server:
            return grpc_server(Servicer(plane, ready), gate, grpc_address, limits)

        self._make_grpc = make_grpc

    async def run(self, when_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises DialogueError when the model cannot be loaded."""
        stop = self._stop_on_signals()
        grpc = self._make_grpc()
        await grpc.start()
        http = asyncio.ensure_future(self._rest.serve(self._app, self._listener))
        loading = asyncio.ensure_future(self._open(when_ready))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((http, loading, stopping), return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
                await asyncio.wait((http, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await self._drain(http, grpc.stop(self._limits.drain_seconds))
            await self._close(loading)

    async def _open(self, when_ready: Callable[[], None]) -> None:
        started = perf_counter()
        hello = ReplyRequest((Turn("user", "hello"),), self._serving.spec.generation)
        try:
            engine = await asyncio.to_thread(self._load, self._metrics)
            loaded = perf_counter()
            await engine.warm_up(hello)
        except RequestError as error:
            raise LoadFailed(f"the model does not answer: {error}") from error
        except DialogueError:
            raise
        except Exception as error:
            log.exception("loading failed")
            raise LoadFailed(f"{type(error).__name__}: {error}") from error
        self._answers.open(engine)
        log.info(
            "%s is ready (revision %s; loaded in %.1f s, warmed up in %.1f s)",
            self._serving.name, self._serving.revision, loaded - started, perf_counter() - loaded,
        )  # fmt: skip
        when_ready()

    async def _drain(self, http: asyncio.Future[None], grpc_stopped: Awaitable[None]) -> None:
        log.info("draining %d requests", len(self._admission))
        self._admission.drain(self._limits.drain_seconds - self._limits.drain_margin_seconds)
        self._rest.stop()
        await asyncio.gather(http, grpc_stopped)

    async def _close(self, loading: asyncio.Future[None]) -> None:
        await self._mirror.close()
        engine = self._answers.close()
        if engine is not None:
            await engine.close()
        loading.cancel()

    def _stop_on_signals(self) -> asyncio.Event:
        """Set at the first signal; the second one ends the requests in flight."""
        stop = asyncio.Event()

        def on_signal() -> None:
            if stop.is_set():
                self._admission.drain(0.0)
            stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        return stop
