"""Which revision answers: the pods' own or a variant of it, by the client's pin or by chance. Pure.

A variant runs in the pods of another revision and differs from it in decoding alone; the gateway names the variants
in a header of every request, so that they come and go without a restart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dialogue_predictor import names
from dialogue_predictor.config.spec import Generation

MOST_REVISIONS = 16  # in one process, the pods' own included
ROUNDED = 0.01  # by so much may percentages that were rounded exceed the whole
GENERATION_OPTIONS = {field.alias or name for name, field in Generation.model_fields.items()}


@dataclass(frozen=True, slots=True)
class Arm:
    """A revision and how it decodes. `weight`: percent of the unpinned conversations; the pods' own gets the rest."""

    revision: str
    generation: Generation
    weight: float = 0


class Choice(NamedTuple):
    """`switched`: the client was pinned to a revision that is not here."""

    arm: Arm
    switched: bool


def choose(own: Arm, variants: Sequence[Arm], pin: str | None, percentile: float) -> Choice:
    """The arm that answers. `percentile` is chance, from 0 to below 100; a pin leaves nothing to it."""
    pinned = next((arm for arm in (own, *variants) if arm.revision == pin), None)
    if pinned is not None:
        return Choice(pinned, switched=False)
    below = 0.0
    for arm in variants:
        below += arm.weight
        if percentile < below:
            return Choice(arm, switched=bool(pin))
    return Choice(own, switched=bool(pin))


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    revision: str = Field(pattern=f"^{names.REVISION_PATTERN}$")
    weight: float = Field(ge=0, le=100, allow_inf_nan=False)
    generation: dict[str, int | float]


class _Entries(BaseModel):
    model_config = ConfigDict(strict=True)

    variants: Annotated[list[_Entry], Field(max_length=MOST_REVISIONS - 1)]


def read_variants(header: str, own: str) -> tuple[Arm, ...]:
    """The variants in the pods of the revision `own`. Raises ValueError when any of them cannot be taken as it is."""
    values = orjson.loads(header)
    if not isinstance(values, dict):
        raise ValueError("not an object of lists by revision")
    try:
        entries = _Entries.model_validate({"variants": values.get(own, [])}).variants
        arms = tuple(Arm(entry.revision, _generation(entry.generation), entry.weight) for entry in entries)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    if len({own, *(arm.revision for arm in arms)}) != len(arms) + 1:
        raise ValueError("a revision is named twice")
    if sum(arm.weight for arm in arms) > 100 + ROUNDED:
        raise ValueError("the weights sum to more than 100")
    return arms


def _generation(options: dict[str, int | float]) -> Generation:
    """All options, and no other: a variant decodes exactly as its revision says, or not at all."""
    if options.keys() != GENERATION_OPTIONS:
        raise ValueError(f"generation: must have {', '.join(sorted(GENERATION_OPTIONS))}")
    return Generation.model_validate(options)
