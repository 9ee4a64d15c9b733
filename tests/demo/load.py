"""Steady load over HTTP and gRPC that counts every answer and every failure. No retries."""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import cycle

from demo.talk import GrpcClient, HttpClient, Place, Reply, RequestFailed

ASKED = (
    "hello",
    "I need a cheap hotel, please.",
    "Can you find me a restaurant?",
    "I want to book a table for two.",
    "What is the weather like?",
    "你好，请帮我推荐一个酒店。",
)


class Load:
    """Clients that ask without pause from `start` to `stop`; `answers` counts by revision, `failures` by kind."""

    def __init__(self, place: Place, http_clients: int = 2, grpc_clients: int = 1) -> None:
        self.place = place
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        workers = [self._http] * http_clients + [self._grpc] * grpc_clients
        self._threads = [threading.Thread(target=worker, daemon=True) for worker in workers]

    def start(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        return self.answers.total() + self.failures.total()

    def _http(self) -> None:
        with closing(HttpClient(self.place)) as client:
            self._repeat(lambda text: client.ask([{"role": "user", "content": text}]))

    def _grpc(self) -> None:
        with closing(GrpcClient(self.place)) as client:
            self._repeat(client.ask)

    def _repeat(self, ask: Callable[[str], Reply]) -> None:
        asked = cycle(ASKED)
        while not self._stopping.is_set():
            try:
                revision = ask(next(asked)).revision
            except RequestFailed as failure:
                with self._lock:
                    self.failures[str(failure)] += 1
            else:
                with self._lock:
                    self.answers[revision] += 1
