"""What a caller may ask of a generation, and the token ids a search must know.

Plain data without torch, so that configuration and serving can build and check it.
"""

import math
from dataclasses import dataclass
from typing import Literal

EarlyStopping = bool | Literal["never"]

MAX_BEAMS = 16


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """Options as Hugging Face's `generate` means them; equal options may share a batch.

    `num_beams=1` is greedy search. A positive `length_penalty` favours long replies. `early_stopping` true
    ends a source at its first `num_beams` finished hypotheses, false when better ones are unlikely, "never"
    when none is possible. `no_repeat_ngram` 0 is off. Forced ids are the first and the last token of a
    reply that reaches `max_new_tokens`.
    """

    num_beams: int = 4
    max_new_tokens: int = 48
    min_new_tokens: int = 0
    length_penalty: float = 1.0
    no_repeat_ngram: int = 3
    early_stopping: EarlyStopping = False
    forced_bos_id: int | None = None
    forced_eos_id: int | None = None

    def __post_init__(self) -> None:
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


@dataclass(frozen=True)
class TokenIds:
    """The ids a search gives meaning to: what a target begins with, what ends it, what fills the rest."""

    start: int
    eos: int
    pad: int
