"""What one request may ask of its decoding: the manifest's options and those that only a request has.

A manifest decides how a model decodes for everybody, and its revision's gates judge that. What is only here (drawing
instead of searching, words that one client does not want) is between a client and its reply.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from dialogue_predictor.config.spec import Generation

MOST_NEW_TOKENS = 256
BAD_WORD_BYTES = 31  # the search forbids up to 32 tokens in a row; a token is at least a byte, and a space may precede
COLDEST = 0.01
LEAST_TOP_P = 1e-6
SEEDS = 2**63  # a seed is a signed 64-bit number


class RequestOptions(Generation):
    """`sample` draws each token, after `temperature`, `top_k` (0: off) and `top_p`; the same `seed`, the same reply.

    `bad_words` are never said as they are written here, neither at a reply's start nor after a space.
    """

    min_new_tokens: int = Field(0, ge=0, le=MOST_NEW_TOKENS)
    early_stopping: bool | Literal["never"] = False
    repetition_penalty: float = Field(1.0, ge=0.1, le=10.0, allow_inf_nan=False)
    bad_words: Annotated[tuple[str, ...], Field(strict=False, max_length=16)] = ()
    sample: bool = False
    temperature: float = Field(1.0, ge=COLDEST, le=2.0, allow_inf_nan=False)
    top_k: int = Field(0, ge=0, le=1000)
    top_p: float = Field(1.0, ge=LEAST_TOP_P, le=1.0, allow_inf_nan=False)
    seed: int | None = Field(None, ge=-SEEDS, lt=SEEDS)

    @field_validator("early_stopping", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if not isinstance(value, bool) and value != "never":
            raise ValueError("true, false or never")
        return value

    @field_validator("bad_words")
    @classmethod
    def _short(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not all(word.strip() and len(word.encode()) <= BAD_WORD_BYTES for word in words):
            raise ValueError(f"words of 1 to {BAD_WORD_BYTES} bytes in UTF-8, not blank")
        return words

    @classmethod
    def of(cls, options: Generation, **asked: Any) -> "RequestOptions":
        """A manifest's options, or a request's, with those that are `asked`, which must be valid, in their place."""
        return cls.model_construct(**{**dict(cls()), **dict(options), **asked})


ALIASES = {name: str(field.alias) for name, field in RequestOptions.model_fields.items()}
