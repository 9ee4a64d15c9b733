"""`dialogue chat`: a dialogue on the terminal, over the same API that every client uses."""

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import typer

from dialogue_predictor import names

LOCAL_URL = f"http://127.0.0.1:{names.HTTP_PORT}"
TIMEOUT = httpx.Timeout(10.0, read=65.0)
NEW = "/new"
Message = dict[str, str]


class ChatFailed(Exception):
    """Says what went wrong, for a person."""


class Conversation:
    """Keeps the dialogue, and stays with the revision that began it, until the next one begins."""

    def __init__(self, client: httpx.Client, model: str) -> None:
        self._client = client
        self._model = model
        self.begin()

    def begin(self) -> None:
        """Forget what was said, and by whom."""
        self._messages: list[Message] = []
        self.revision: str | None = None

    def ask(self, text: str) -> Iterator[str]:
        """The reply in pieces; the turn is remembered once it is whole. Raises ChatFailed."""
        messages = [*self._messages, {"role": "user", "content": text}]
        body = {"model": self._model, "stream": True, "messages": messages}
        headers = {names.HEADER_REVISION: self.revision} if self.revision else {}
        said = ""
        with self._client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                raise ChatFailed(_reason(response))
            self.revision = response.headers.get(names.HEADER_REVISION)
            for delta in _deltas(response.iter_lines()):
                said += delta
                yield delta
        self._messages = [*messages, {"role": "assistant", "content": said}] if said.strip() else self._messages


def chat(
    url: Annotated[str, typer.Argument(help="Where the predictor or the gateway is.")] = LOCAL_URL,
    model: Annotated[str | None, typer.Option(help="The model's name; the only one there by default.")] = None,
    once: Annotated[str | None, typer.Option(metavar="TEXT", help="Ask this, print the reply, leave.")] = None,
) -> None:
    """Talk to a model. /new begins another conversation, Ctrl-D ends the talk.

    Example: dialogue chat http://127.0.0.1:8080
    """
    try:
        with httpx.Client(base_url=url, timeout=TIMEOUT) as client:
            conversation = Conversation(client, model or _only_model(client))
            if once is not None:
                _say(conversation.ask(once))
            else:
                _talk(conversation)
    except (ChatFailed, httpx.HTTPError, httpx.InvalidURL) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _talk(conversation: Conversation) -> None:
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            text = input(prompt)
        except (EOFError, KeyboardInterrupt):
            typer.echo()
            return
        if not text.strip():
            continue
        if text.strip() == NEW:
            conversation.begin()
            continue
        try:
            _say(conversation.ask(text))
        except ChatFailed as error:
            typer.echo(f"error: {error}", err=True)


def _say(pieces: Iterator[str]) -> None:
    for piece in pieces:
        typer.echo(piece, nl=False)
    typer.echo()


def _only_model(client: httpx.Client) -> str:
    response = client.get("/v1/models")
    if response.status_code != httpx.codes.OK:
        raise ChatFailed(_reason(response))
    models = [str(card["id"]) for card in response.json()["data"]]
    if len(models) != 1:
        raise ChatFailed(f"choose one with --model: {', '.join(models)}")
    return models[0]


def _deltas(lines: Iterator[str]) -> Iterator[str]:
    """The text in server-sent events. Raises ChatFailed on an error event, or an end without [DONE]."""
    for line in lines:
        if not line.startswith("data: "):
            continue
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            return
        event: dict[str, Any] = json.loads(data)
        if "error" in event:
            raise ChatFailed(event["error"]["message"])
        for choice in event["choices"]:
            yield choice["delta"].get("content", "")
    raise ChatFailed("the reply broke off")


def _reason(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return f"the server answered {response.status_code}"
