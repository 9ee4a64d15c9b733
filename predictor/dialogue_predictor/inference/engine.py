"""The way of a reply: turns → prompt ids → backend → hypothesis → text."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from dialogue_predictor.backends.base import Backend, GenerationRequest
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Outcome
from dialogue_predictor.inference.request import Piece, Reply, ReplyRequest
from dialogue_predictor.inference.stops import StopFilter, cut
from dialogue_predictor.text.prompt import Prompt, build_prompt
from dialogue_predictor.text.tokenizer import StreamDecoder, Tokenizer


class DialogueEngine:
    """Answers dialogues with one model. `positions`: the longest source and target the model takes, in tokens.

    Both ways to ask raise the errors of `RequestError`; cancelling the asking task ends the work behind it.
    """

    def __init__(self, backend: Backend, tokenizer: Tokenizer, max_turns: int, positions: int) -> None:
        self._backend = backend
        self._tokenizer = tokenizer
        self._max_turns = max_turns
        self._positions = positions

    async def reply(self, request: ReplyRequest, deadline: float | None = None) -> Reply:
        """The whole reply at once; `deadline` in the event loop's time."""
        prompt, generation = self._prepare(request, deadline)
        outcome = await self._backend.generate(generation)
        return self._finish(prompt, outcome, request)

    async def stream(self, request: ReplyRequest, deadline: float | None = None) -> AsyncGenerator[Piece]:
        """Pieces of settled text; joined they are the text of the reply that comes with the last one."""
        prompt, generation = self._prepare(request, deadline)
        decoder = StreamDecoder(self._tokenizer)
        stops = StopFilter(request.stop)
        tokens = 0
        said: list[str] = []
        async with aclosing(self._backend.stream(generation)) as parts:
            async for part in parts:
                tokens += len(part.tokens)
                said.append(stops.push(decoder.push(part.tokens)))
                if part.outcome is not None:
                    said[-1] += stops.push(decoder.finish()) + stops.finish()
                    yield Piece(said[-1], self._finish(prompt, part.outcome, request))
                    return
                if stops.stopped:
                    yield Piece(said[-1], _stopped(prompt, "".join(said), tokens))
                    return
                if said[-1]:
                    yield Piece(said[-1])

    async def warm_up(self, request: ReplyRequest) -> None:
        """Everything a first request would otherwise wait for, then one reply to see that it works."""
        await self._backend.warm_up(self._options(request))
        await self.reply(request)

    async def close(self) -> None:
        await self._backend.close()

    def _prepare(self, request: ReplyRequest, deadline: float | None) -> tuple[Prompt, GenerationRequest]:
        prompt = build_prompt(request.turns, self._tokenizer, self._max_turns, self._positions)
        return prompt, GenerationRequest(prompt.ids, self._options(request), deadline)

    def _options(self, request: ReplyRequest) -> GenerationOptions:
        asked = request.options
        return GenerationOptions(
            num_beams=asked.num_beams,
            max_new_tokens=min(asked.max_new_tokens, self._positions),
            length_penalty=asked.length_penalty,
            no_repeat_ngram=asked.no_repeat_ngram,
        )

    def _finish(self, prompt: Prompt, outcome: Outcome, request: ReplyRequest) -> Reply:
        best = outcome.best
        text, stopped = cut(self._tokenizer.decode(best.tokens), request.stop)
        return Reply(
            text=text,
            score=best.score,
            tokens=len(best.tokens) + best.complete,
            prompt_tokens=len(prompt.ids),
            turns_used=prompt.turns_used,
            truncated=prompt.truncated,
            finish="stop" if best.complete or stopped else "length",
            margin=outcome.margin,
        )


def _stopped(prompt: Prompt, text: str, tokens: int) -> Reply:
    """A reply that ended at a stop string before the search did, so that it has no score."""
    return Reply(
        text=text,
        score=0.0,
        tokens=tokens,
        prompt_tokens=len(prompt.ids),
        turns_used=prompt.turns_used,
        truncated=prompt.truncated,
        finish="stop",
    )
