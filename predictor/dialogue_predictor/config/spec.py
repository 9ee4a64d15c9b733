"""The serving part of a DialogueModel's spec: the fields that change what a predictor answers.

The operator owns the whole schema. Fields that are only its business are ignored here, so that the two halves
can be upgraded one after the other; the fields that are used are checked strictly and named when they are wrong.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from dialogue_predictor.errors import SpecInvalid


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, strict=True)


class ModelSource(_Part):
    """Where the bundle is: `builtin://default`, `pvc://CLAIM/PATH`, or a folder when serving locally."""

    uri: str = Field(min_length=1, max_length=1024)
    version: str = Field("", max_length=128)
    digest: str | None = Field(None, pattern=r"^sha256:[0-9a-f]{64}$")


class Runtime(_Part):
    """`precision`: what to compute in; without one, what the bundle recommends."""

    precision: Literal["fp32", "bf16", "int8"] | None = None


class Generation(_Part):
    """Defaults of the beam search; a request may override each within the same bounds."""

    num_beams: int = Field(4, ge=1, le=16)
    max_new_tokens: int = Field(48, ge=1, le=256)
    length_penalty: float = Field(1.0, ge=0.0, le=2.0, allow_inf_nan=False)
    no_repeat_ngram: int = Field(3, ge=0, le=10)


class Dialogue(_Part):
    """How much of a dialogue is read: the newest `maxTurns` turns."""

    max_turns: int = Field(12, ge=1, le=64)


class ServingSpec(_Part):
    model: ModelSource
    runtime: Runtime = Runtime()
    generation: Generation = Generation()
    dialogue: Dialogue = Dialogue()


def parse_spec(values: Any, where: str = "spec") -> ServingSpec:
    """Raises SpecInvalid that names each wrong field by its path, `spec.generation.numBeams`."""
    try:
        return ServingSpec.model_validate(values)
    except ValidationError as error:
        problems = [
            f"{'.'.join((where, *map(str, problem['loc'])))}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise SpecInvalid("; ".join(problems)) from None
