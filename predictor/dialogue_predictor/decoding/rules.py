"""A search's options as its steps need them: with what they hold as tensors, on the search's device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dialogue_predictor.decoding.facts import Facts
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.tails import Tails


@dataclass(frozen=True)
class Rules:
    """Options, the ids with a meaning, and the constraints on token sequences; what is off is None."""

    options: GenerationOptions
    ids: TokenIds
    bad_tokens: Tensor | None  # [W]
    bad_phrases: Tails | None  # bad words of several tokens, but their last token, which may not follow
    facts: Facts | None

    @classmethod
    def of(cls, options: GenerationOptions, ids: TokenIds, device: torch.device) -> "Rules":
        # Like Hugging Face, the end is no bad word: a reply must be able to end.
        alone = [word[0] for word in options.bad_words if len(word) == 1 and word[0] != ids.eos]
        phrases = [word for word in options.bad_words if len(word) > 1]
        return cls(
            options=options,
            ids=ids,
            bad_tokens=torch.tensor(alone, device=device) if alone else None,
            bad_phrases=Tails.of([(word[:-1], word[-1]) for word in phrases], device) if phrases else None,
            facts=Facts.of(options.facts, device),
        )
