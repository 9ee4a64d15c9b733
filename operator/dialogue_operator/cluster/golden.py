"""Asking a new revision its golden dialogues, directly at one of its pods: no user, no route, no gateway."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import aiohttp

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.cluster.patterns import found_in
from dialogue_operator.cluster.resources import CONFIG_MAP, POD, Resource
from dialogue_operator.cluster.web import said, session, text_of
from dialogue_operator.rollout.golden import PASSED, Dialogue, GoldenInvalid, GoldenReply, parse_dialogues, problems_of

KEY = "dialogues.json"
SECONDS = 20.0  # for all dialogues: less than a reconcile may take
AT_ONCE = 4
TRIES, WAIT_SECONDS = 3, 0.5
BUSY = frozenset({429, 502, 503, 504})
MOST_SAID = 1000


class Reader(Protocol):
    """As much of `KubeClient` as is needed here."""

    async def find(self, resource: Resource, namespace: str, name: str) -> Json | None: ...

    async def list(
        self, resource: Resource, namespace: str = "", selector: Mapping[str, str] | None = None
    ) -> list[Json]: ...


class _Unanswered(Exception):
    """A dialogue that got no reply, and why."""


async def run_golden(
    client: Reader,
    model: DialogueModel,
    revision: str,
    pods_revision: str,
    port: int = names.HTTP_PORT,
    seconds: float = SECONDS,
) -> str:
    """ "Passed", or what went wrong, in at most 1,000 characters. Raises ApiError where the API server cannot be asked."""
    if model.spec.preflight is None:
        return PASSED
    name = model.spec.preflight.config_map_name
    config_map = await client.find(CONFIG_MAP, model.namespace, name)
    if config_map is None:
        return f"there is no ConfigMap {name} in namespace {model.namespace}"
    text = (config_map.get("data") or {}).get(KEY)
    if text is None:
        return f"ConfigMap {name} has no key {KEY}"
    try:
        dialogues = parse_dialogues(text)
    except GoldenInvalid as error:
        return f"{KEY} of ConfigMap {name}: {error}"[:MOST_SAID]
    labels = {names.LABEL_MODEL: model.name, names.LABEL_REVISION: pods_revision}
    addresses = [_address(pod) for pod in await client.list(POD, model.namespace, labels) if _is_ready(pod)]
    if not addresses:
        return f"no pod of revision {pods_revision} is ready"
    url = f"http://{addresses[0]}:{port}{names.CHAT_PATH}"
    found = await _problems(url, model, revision, pods_revision, dialogues, seconds)
    return _summary(found, len(dialogues))


def _summary(found: Mapping[str, list[str]], count: int) -> str:
    bad = {name: problems for name, problems in found.items() if problems}
    if not bad:
        return PASSED
    each = "; ".join(f"{name}: {', '.join(problems)}" for name, problems in bad.items())
    text = f"{len(bad)} of {count} golden dialogues failed: {each}"
    return text if len(text) <= MOST_SAID else text[: MOST_SAID - 3] + "..."


async def _problems(
    url: str, model: DialogueModel, revision: str, pods: str, dialogues: Sequence[Dialogue], seconds: float
) -> dict[str, list[str]]:
    """What is wrong with each dialogue's reply."""
    replies: dict[str, GoldenReply | str] = {}
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(http: aiohttp.ClientSession, dialogue: Dialogue) -> None:
        async with turns:
            try:
                replies[dialogue.name] = await _reply(http, url, model.name, revision, dialogue)
            except _Unanswered as error:
                replies[dialogue.name] = str(error)

    try:
        headers = _headers(model, revision, pods)
        async with asyncio.timeout(seconds), session(AT_ONCE, headers) as http, asyncio.TaskGroup() as group:
            for dialogue in dialogues:
                group.create_task(ask(http, dialogue))
    except TimeoutError:
        pass  # those without a reply say so below
    matched = await _matched(dialogues, replies)
    late = f"no reply within {seconds:g} s"
    return {
        one.name: problems_of(one, reply, matched.get(one.name, False))
        if isinstance(reply := replies.get(one.name, late), GoldenReply)
        else [reply]
        for one in dialogues
    }


async def _reply(http: aiohttp.ClientSession, url: str, model: str, revision: str, dialogue: Dialogue) -> GoldenReply:
    """A pod that has just become ready may be busy still: it is asked again. Raises _Unanswered."""
    body = {"model": model, "messages": [{"role": role, "content": text} for role, text in dialogue.messages]}
    problem = ""
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(WAIT_SECONDS * random.uniform(0.5, 1.5))
        try:
            async with http.post(url, json=body, allow_redirects=False) as response:
                text = await text_of(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            problem = said(error)
            continue
        if response.status == 200:
            answered_by = response.headers.get(names.HEADER_REVISION, revision)
            if answered_by != revision:
                raise _Unanswered(f"revision {answered_by[:8]} answered")
            return _read(text)
        problem = f"status {response.status}: {text[:200]}"
        if response.status not in BUSY:
            break
    raise _Unanswered(problem)


def _read(text: str) -> GoldenReply:
    try:
        body: Any = json.loads(text)
        content, tokens = body["choices"][0]["message"]["content"], body.get("usage", {}).get("completion_tokens")
    except (ValueError, LookupError, TypeError, AttributeError):
        raise _Unanswered("the answer is no chat completion") from None
    if not isinstance(content, str):
        raise _Unanswered("the answer is no chat completion")
    return GoldenReply(content, tokens if type(tokens) is int else None)


async def _matched(dialogues: Sequence[Dialogue], replies: Mapping[str, GoldenReply | str]) -> dict[str, bool]:
    """By dialogue, whether its pattern was found."""
    asked = {
        one.name: (one.expect.matches, reply.text)
        for one in dialogues
        if one.expect.matches is not None and isinstance(reply := replies.get(one.name), GoldenReply)
    }
    return dict(zip(asked, await found_in(list(asked.values())), strict=True))


def _headers(model: DialogueModel, revision: str, pods: str) -> dict[str, str]:
    """What the gateway would send: which revision shall answer, and how a variant decodes."""
    headers = {names.HEADER_REVISION: revision}
    for record in model.status.revisions:
        if record.revision == revision != pods:
            variant = {"revision": revision, "weight": 0, "generation": record.serving.generation.to_json()}
            headers[names.HEADER_ARMS] = json.dumps({pods: [variant]}, separators=(",", ":"))
    return headers


def _is_ready(pod: Json) -> bool:
    status = pod.get("status") or {}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
    return ready and bool(status.get("podIP")) and "deletionTimestamp" not in pod["metadata"]


def _address(pod: Json) -> str:
    address: str = pod["status"]["podIP"]
    return f"[{address}]" if ":" in address else address
