"""Users of one model, over HTTP: every answer is counted by revision and outcome, with its time. No retries."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle

import aiohttp

from demo.load import ASKED
from demo.talk import REVISION, Place

TURNS = 3


@dataclass(frozen=True)
class Answer:
    """`at` is the end, on the monotonic clock; `seconds` how long it took; `failure` empty where all was well."""

    at: float
    seconds: float
    revision: str
    failure: str = ""


@dataclass
class Users:
    """Closed-loop users that hold conversations of three turns and echo the revision that began each."""

    place: Place
    count: int
    answers: list[Answer] = field(default_factory=list)
    conversations: int = 0
    switched: int = 0  # conversations whose revision changed in the middle
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> "Users":
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )
        openers = cycle(ASKED)
        self._tasks = [asyncio.create_task(self._user(openers)) for _ in range(self.count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    def by_revision(self, since: float = 0.0) -> Counter[str]:
        return Counter(answer.revision for answer in self.answers if answer.at >= since)

    def failures(self, since: float = 0.0) -> Counter[str]:
        return Counter(answer.failure for answer in self.answers if answer.failure and answer.at >= since)

    async def _user(self, openers: Iterator[str]) -> None:
        while True:
            await self._converse(next(openers))

    async def _converse(self, opener: str) -> None:
        messages = [{"role": "user", "content": opener}]
        seen: list[str] = []
        for _ in range(TURNS):
            revision, text = await self._ask(messages, seen[0] if seen else None)
            if text is None:
                return
            seen.append(revision)
            messages += [{"role": "assistant", "content": text or "."}, {"role": "user", "content": "and then?"}]
        self.conversations += 1
        self.switched += len(set(seen)) > 1

    async def _ask(self, messages: list[dict[str, str]], pin: str | None) -> tuple[str, str | None]:
        """The revision that answered, and its words; None for a failure."""
        headers = {"Host": self.place.http_host} | ({REVISION: pin} if pin else {})
        body = {"model": self.place.model, "messages": messages}
        began = time.monotonic()
        revision, text, failure = "", None, ""
        try:
            url = f"http://{self.place.gateway}/v1/chat/completions"
            async with self._session.post(url, json=body, headers=headers) as response:
                revision = response.headers.get(REVISION, "")
                if response.status == 200:
                    text = (await response.json())["choices"][0]["message"]["content"]
                else:
                    failure = f"HTTP {response.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            failure = type(error).__name__
        now = time.monotonic()
        self.answers.append(Answer(now, now - began, revision, failure))
        return revision, text


async def split(place: Place, requests: int, connections: int = 16) -> Counter[str]:
    """Who answers so many small requests that name no revision: the gateway's split, without a model's work."""
    answers: Counter[str] = Counter()
    left = iter(range(requests))
    url = f"http://{place.gateway}/v2/models/{place.model}/ready"

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in left:
            try:
                async with session.get(url, headers={"Host": place.http_host}) as response:
                    ok = response.status == 200
                    answers[response.headers.get(REVISION, "") if ok else f"HTTP {response.status}"] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                answers[type(error).__name__] += 1

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        await asyncio.gather(*(client(session) for _ in range(connections)))
    return answers
