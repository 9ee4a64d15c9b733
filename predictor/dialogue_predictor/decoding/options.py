"""What a caller may ask of a generation, and the token ids a search must know.

Plain data without torch, so that configuration and serving can build and check it.
"""

import math
from dataclasses import dataclass
from typing import Literal

EarlyStopping = bool | Literal["never"]
Sequences = tuple[tuple[int, ...], ...]

MAX_BEAMS = 16
MAX_SEQUENCES = 64  # bad words, and facts
MAX_SEQUENCE_TOKENS = 32
MAX_DIVERSITY = 1e4  # far below what a search takes for "not there"


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """Options as Hugging Face's `generate` means them; equal options may share a batch.

    `num_beams=1` is greedy search. A positive `length_penalty` favours long replies. `early_stopping` true
    ends a source at its first `num_beams` finished hypotheses, false when better ones are unlikely, "never"
    when none is possible. `no_repeat_ngram` 0 is off. A `repetition_penalty` above 1 makes said tokens less
    likely. `bad_words` are token sequences that are never said. Forced ids are the first and the last token of
    a reply that reaches `max_new_tokens`.

    `sample` draws tokens instead of taking the best, after `temperature`, the `top_k` likeliest tokens (0: all) and
    the likeliest that make up `top_p` of the probability; without it these three mean nothing.

    `beam_groups` above 1 is diverse beam search: the beams form groups, and a token costs a group
    `diversity_penalty` for each time that groups before it say it in the same step.

    `facts` are token sequences not to be garbled: see `decoding.facts`.
    """

    num_beams: int = 4
    max_new_tokens: int = 48
    min_new_tokens: int = 0
    length_penalty: float = 1.0
    no_repeat_ngram: int = 3
    early_stopping: EarlyStopping = False
    forced_bos_id: int | None = None
    forced_eos_id: int | None = None
    repetition_penalty: float = 1.0
    bad_words: Sequences = ()
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    beam_groups: int = 1
    diversity_penalty: float = 0.0
    facts: Sequences = ()

    def __post_init__(self) -> None:
        self._check_search()
        self._check_sampling()
        self._check_groups()
        for name in ("forced_bos_id", "forced_eos_id"):
            token = getattr(self, name)
            if token is not None and token < 0:
                raise ValueError(f"{name} must not be negative, got {token}")
        for name in ("bad_words", "facts"):
            check_sequences(name, getattr(self, name))

    def _check_search(self) -> None:
        if not 1 <= self.num_beams <= MAX_BEAMS:
            raise ValueError(f"num_beams must lie in 1..{MAX_BEAMS}, got {self.num_beams}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if not 0 <= self.min_new_tokens <= self.max_new_tokens:
            raise ValueError(f"min_new_tokens must lie in 0..max_new_tokens, got {self.min_new_tokens}")
        if not math.isfinite(self.length_penalty):
            raise ValueError(f"length_penalty must be finite, got {self.length_penalty}")
        if self.no_repeat_ngram < 0:
            raise ValueError(f"no_repeat_ngram must not be negative, got {self.no_repeat_ngram}")
        if self.early_stopping not in (False, True, "never"):
            raise ValueError(f"early_stopping must be false, true or 'never', got {self.early_stopping!r}")
        if not 0 < self.repetition_penalty < math.inf:
            raise ValueError(f"repetition_penalty must be positive and finite, got {self.repetition_penalty}")

    def _check_sampling(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(
                f"temperature must be positive and finite, got {self.temperature}; for no randomness turn sample off"
            )
        if self.top_k < 0:
            raise ValueError(f"top_k must not be negative, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], got {self.top_p}")

    def _check_groups(self) -> None:
        if self.beam_groups < 1 or self.num_beams % self.beam_groups:
            raise ValueError(
                f"beam_groups must divide num_beams: {self.num_beams} beams are not {self.beam_groups} equal groups"
            )
        if not 0 <= self.diversity_penalty <= MAX_DIVERSITY:
            raise ValueError(f"diversity_penalty must lie in 0..{MAX_DIVERSITY:g}, got {self.diversity_penalty}")
        if (self.beam_groups > 1) != (self.diversity_penalty > 0):
            raise ValueError(
                "diversity_penalty must be positive with beam_groups above 1 and 0 without, "
                f"got {self.diversity_penalty} with {self.beam_groups}"
            )
        if self.sample and self.beam_groups > 1:
            raise ValueError("beam_groups above 1 cannot be combined with sample")

    @property
    def group_beams(self) -> int:
        """The beams of each group."""
        return self.num_beams // self.beam_groups


@dataclass(frozen=True)
class TokenIds:
    """The ids a search gives meaning to: what a target begins with, what ends it, what fills the rest."""

    start: int
    eos: int
    pad: int


def check_sequences(name: str, sequences: Sequences) -> None:
    if len(sequences) > MAX_SEQUENCES:
        raise ValueError(f"{name} must be at most {MAX_SEQUENCES} sequences, got {len(sequences)}")
    for tokens in sequences:
        if not 1 <= len(tokens) <= MAX_SEQUENCE_TOKENS:
            raise ValueError(f"{name} must have 1 to {MAX_SEQUENCE_TOKENS} tokens each, got {len(tokens)}")
        if min(tokens) < 0:
            raise ValueError(f"{name} must not have negative token ids, got {min(tokens)}")


def check_options(options: GenerationOptions, vocab_size: int) -> None:
    """Raises ValueError, which begins with the field's name, for what a vocabulary of this size cannot do."""
    if 2 * options.num_beams > vocab_size:
        raise ValueError(f"num_beams must be at most half the vocabulary of {vocab_size}, got {options.num_beams}")
    for name in ("forced_bos_id", "forced_eos_id"):
        token = getattr(options, name)
        if token is not None and token >= vocab_size:
            raise ValueError(f"{name} must lie in the vocabulary of {vocab_size}, got {token}")
    for name in ("bad_words", "facts"):
        for tokens in getattr(options, name):
            if max(tokens) >= vocab_size:
                raise ValueError(f"{name} must lie in the vocabulary of {vocab_size}, got {max(tokens)}")
