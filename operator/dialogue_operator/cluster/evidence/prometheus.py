"""Evidence from Prometheus: nothing is remembered here, each look asks for everything since the step began."""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.rollout import Gate
from dialogue_operator.cluster.evidence.promql import LOOK_SECONDS as ANSWER_SECONDS
from dialogue_operator.cluster.evidence.promql import (
    Refused,
    counts_query,
    data_of,
    filled_in,
    looks_query,
    number_of,
    read_counts,
)
from dialogue_operator.cluster.evidence.tallies import samples_for, tallies
from dialogue_operator.cluster.web import said, session, text_of
from dialogue_operator.rollout.evidence import Answer, Evidence, Tally
from dialogue_operator.rollout.questions import Count

SECONDS = 5.0  # for one look, with all its queries
CONNECTIONS = 4


class Prometheus:
    """`token_file` holds a bearer token and is read again with each look."""

    def __init__(
        self, url: str, token_file: Path | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._url, self._token_file, self._now = url.rstrip("/"), token_file, now

    async def gather(self, model: DialogueModel, asked: Count) -> Evidence:
        found: dict[str, Tally] = {}
        answers: dict[tuple[str, str], Answer] = {}
        problems: list[str] = []
        seconds = max(1, round((self._now() - asked.since).total_seconds()))
        try:
            async with asyncio.timeout(SECONDS), session(CONNECTIONS, self._authorization()) as http:
                found |= await self._tallies(http, model, asked, seconds)
                judged = _judged(model, asked.revisions)
                queries = [(gate, revision) for gate in asked.gates if gate.query for revision in judged]
                values = await asyncio.gather(*(self._answer(http, model, *one, seconds) for one in queries))
                for (gate, revision), (answer, problem) in zip(queries, values, strict=True):
                    answers[gate.name, revision] = answer
                    problems += [f"gate {gate.name}: {problem}"] if problem else []
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            problems.append(said(error))
        problem = f"Prometheus at {self._url}: {'; '.join(dict.fromkeys(problems))}" if problems else ""
        return Evidence(asked.rollout_id, asked.step, found, answers, problem[:500])

    async def _tallies(
        self, http: aiohttp.ClientSession, model: DialogueModel, asked: Count, seconds: int
    ) -> dict[str, Tally]:
        samples = samples_for(asked.gates)
        query = counts_query(model.name, model.namespace, asked.revisions, samples, seconds)
        return tallies(read_counts(await self._ask(http, query), samples, asked.revisions), asked.revisions)

    async def _answer(
        self, http: aiohttp.ClientSession, model: DialogueModel, gate: Gate, revision: str, seconds: int
    ) -> tuple[Answer, str]:
        """What the gate's own query says now, how often it has said something since, and why not."""
        query = filled_in(gate.query or "", model.name, model.namespace, revision)
        try:
            data = await self._ask(http, query)
            value = number_of(data)
            if value is None:
                return Answer(None, 0), ""
            looks, apart = looks_query(query, data.get("resultType") == "scalar", seconds)
            count = number_of(await self._ask(http, looks)) or 0.0
        except Refused as error:
            return Answer(None, 0), str(error)
        return Answer(value, max(1, round(count * apart / ANSWER_SECONDS))), ""  # it has answered just now

    async def _ask(self, http: aiohttp.ClientSession, query: str) -> Json:
        form = {"query": query, "timeout": f"{SECONDS:.0f}s"}
        url = f"{self._url}/api/v1/query"
        async with http.post(url, data=form, allow_redirects=False) as response:
            text = await text_of(response)
        try:
            reply = json.loads(text)
        except ValueError:
            raise ValueError(f"status {response.status}, and no JSON") from None
        return data_of(reply, response.status)

    def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}


def _judged(model: DialogueModel, revisions: Mapping[str, str]) -> list[str]:
    """A query is compared with a bound: nobody needs its answer for the stable revision."""
    return sorted(revisions.keys() - {model.status.stable_revision})
