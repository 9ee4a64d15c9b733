"""What is evaluated: a bundle, or the run that one would be made of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dialogue_predictor.artifacts.bundle import DIGEST, locate, open_bundle
from dialogue_predictor.artifacts.weights import load_model
from dialogue_predictor.backends.engines.choose import engine_for
from dialogue_predictor.backends.engines.linear import Precision
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.seam import StepModel
from dialogue_predictor.decoding.search import decode, padded
from dialogue_predictor.evaluation.metrics import Similarities
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.model.vectors import sentence_vectors
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.source import source_of
from dialogue_predictor.text.style import PlainText
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.data.examples import Limits
from dialogue_predictor.training.run import load_start

BATCH = 32

Source = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A reply; `complete` when it ends by itself rather than at the limit. `tokens` counts `</s>`."""

    text: str
    tokens: int
    complete: bool


@dataclass(frozen=True)
class Subject:
    """A model to ask. Its engine computes in `precision`; `facts` describe it in reports; `load` reads it anew.

    `text`: how a checkpoint from elsewhere reads.
    """

    where: str
    precision: Precision
    facts: dict[str, Any]
    tokenizer: Tokenizer
    load: Callable[[], DialogueTransformer]
    text: PlainText | None = None

    @cached_property
    def model(self) -> DialogueTransformer:
        """In fp32, for scores and vectors."""
        return self.load().eval()

    @cached_property
    def engine(self) -> StepModel[Any]:
        return engine_for(self.load().eval(), self.precision)

    @property
    def options(self) -> GenerationOptions:
        """The default ones, as far as the model's positions go, with what its kind must say."""
        text = self.text or PlainText()
        return GenerationOptions(
            max_new_tokens=min(GenerationOptions().max_new_tokens, self.model.config.max_positions),
            forced_bos_id=text.forced_bos_id,
            forced_eos_id=text.forced_eos_id,
            bad_words=text.bad_words,
        )

    @property
    def ids(self) -> TokenIds:
        config = self.model.config
        return TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id)

    def source(self, turns: Sequence[Turn]) -> Source:
        """The prompt as serving builds it, within the model's positions."""
        limits = Limits().within(self.model.config.max_positions)
        return source_of(turns, self.tokenizer, self.text, limits.max_turns, limits.max_source_tokens).ids

    def replies(self, asked: Sequence[Sequence[Turn]]) -> list[Said]:
        """Replies to dialogues, in their order, searched for in batches of like length."""
        sources = [self.source(turns) for turns in asked]
        options, ids = self.options, self.ids
        said: dict[int, Said] = {}
        for chosen in by_length(sources):
            outcomes = decode(self.engine, [sources[index] for index in chosen], options, ids)
            for index, outcome in zip(chosen, outcomes, strict=True):
                best = outcome.best
                said[index] = Said(self.tokenizer.decode(best.tokens), len(best.tokens) + best.complete, best.complete)
        return [said[index] for index in range(len(sources))]

    @torch.inference_mode()
    def vectors(self, dialogues: Sequence[Sequence[Turn]]) -> Similarities:
        """Sentence vectors [N, D] of dialogues, in their order."""
        sources = [self.source(turns) for turns in dialogues]
        result = np.zeros((len(sources), self.model.config.d_model), dtype=np.float32)
        for chosen in by_length(sources):
            source, mask = self.batch([sources[index] for index in chosen])
            result[chosen] = sentence_vectors(self.model, source, mask).numpy()
        return result

    def batch(self, sources: Sequence[Source]) -> tuple[Tensor, Tensor]:
        """Source ids and mask [B, S]."""
        return padded(sources, self.model.config.pad_id, torch.device("cpu"))


def by_length(sources: Sequence[Source]) -> Iterator[list[int]]:
    """The indices of sources of like length, a batch at a time."""
    order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


def open_subject(where: str, precision: Precision | None = None) -> Subject:
    """A bundle by its folder or address, verified, or a run's folder.

    Without a precision it is the one that the bundle recommends, fp32 for a run. Raises what `locate`, `open_bundle`
    and `load_start` raise.
    """
    folder = locate(where)
    if not (folder / DIGEST).exists():
        model, tokenizer = load_start(folder)
        facts = {"where": where, "name": folder.resolve().name, "version": "run"} | described(model, precision)
        return Subject(where, precision or "fp32", facts, tokenizer, lambda: load_start(folder)[0])
    bundle = open_bundle(folder)
    quantisation = bundle.quantisation
    facts = {"where": where, "name": bundle.name, "version": bundle.version, "digest": bundle.digest}
    facts |= {"weights": quantisation.weights, "bytes": bundle.weights_path.stat().st_size}
    facts |= described(load_model(bundle), precision or quantisation.compute)
    read = Tokenizer.load if bundle.text is None else Tokenizer.load_any
    tokenizer = read(bundle.tokenizer_path)
    return Subject(where, precision or quantisation.compute, facts, tokenizer, lambda: load_model(bundle), bundle.text)


def described(model: DialogueTransformer, precision: Precision | None) -> dict[str, Any]:
    parameters = sum(value.numel() for value in model.parameters())
    return {"parameters": parameters, "precision": precision or "fp32", "architecture": model.config.to_dict()}
