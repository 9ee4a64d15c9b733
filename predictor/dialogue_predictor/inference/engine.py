"""The way of a reply: turns → prompt ids → backend → hypothesis → text."""

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from dialogue_predictor.backends.base import Backend, GenerationRequest
from dialogue_predictor.config.options import RequestOptions
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Hypothesis, Outcome
from dialogue_predictor.inference.request import Piece, Reply, ReplyRequest
from dialogue_predictor.inference.stops import StopFilter, cut
from dialogue_predictor.text.prompt import Prompt
from dialogue_predictor.text.source import source_of
from dialogue_predictor.text.style import PlainText
from dialogue_predictor.text.tokenizer import StreamDecoder, Tokenizer

SEED_BITS = 63


class DialogueEngine:
    """Answers dialogues with one model. `positions`: the longest source and target the model takes, in tokens; `text`: how
    a checkpoint from elsewhere reads.

    Both ways to ask raise the errors of `RequestError`; cancelling the asking task ends the work behind it.
    """

    def __init__(
        self, backend: Backend, tokenizer: Tokenizer, max_turns: int, positions: int, text: PlainText | None = None
    ) -> None:
        self._backend = backend
        self._text = text
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
        prompt = source_of(request.turns, self._tokenizer, self._text, self._max_turns, self._positions)
        seed = RequestOptions.of(request.options).seed
        return prompt, GenerationRequest(
            prompt.ids,
            self._options(request),
            deadline,
            seed=random.getrandbits(SEED_BITS) if seed is None else seed,
            priority=request.priority,
            tenant=request.tenant,
        )

    def _options(self, request: ReplyRequest) -> GenerationOptions:
        asked = RequestOptions.of(request.options)
        longest = min(asked.max_new_tokens, self._positions)
        text = self._text or PlainText()
        return GenerationOptions(
            num_beams=asked.num_beams,
            max_new_tokens=longest,
            min_new_tokens=min(asked.min_new_tokens, longest),
            length_penalty=asked.length_penalty,
            no_repeat_ngram=asked.no_repeat_ngram,
            early_stopping=asked.early_stopping,
            repetition_penalty=asked.repetition_penalty,
            forced_bos_id=text.forced_bos_id,
            forced_eos_id=text.forced_eos_id,
            bad_words=(*text.bad_words, *bad_tokens(asked.bad_words, self._tokenizer)),
            sample=asked.sample,
            temperature=asked.temperature,
            top_k=asked.top_k,
            top_p=asked.top_p,
        )

    def _finish(self, prompt: Prompt, outcome: Outcome, request: ReplyRequest) -> Reply:
        best, *others = (
            self._reply(prompt, hypothesis, request) for hypothesis in outcome.hypotheses[: request.replies]
        )
        return replace(best, margin=outcome.margin, others=tuple(others))

    def _reply(self, prompt: Prompt, said: Hypothesis, request: ReplyRequest) -> Reply:
        text, stopped = cut(self._tokenizer.decode(said.tokens), request.stop)
        return Reply(
            text=text,
            score=said.score,
            tokens=len(said.tokens) + said.complete,
            prompt_tokens=len(prompt.ids),
            turns_used=prompt.turns_used,
            truncated=prompt.truncated,
            finish="stop" if said.complete or stopped else "length",
        )


def bad_tokens(words: Sequence[str], tokenizer: Tokenizer) -> tuple[tuple[int, ...], ...]:
    """The token sequences that write each word, at the start of a text and after a space."""
    spellings = (spelling for word in words for spelling in (word, f" {word}"))
    return tuple(sorted({tuple(tokenizer.encode(spelling)) for spelling in spellings}))


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
