"""Durations and quantities with bounds: one line a field gives the CEL rule for the API server and the check here.

The rule stands on the field itself: the API server then names that field, and validates the defaults of the objects
around it without tripping over keys that are not filled in yet.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,6}(ms|s|m|h))+$", max_length=32)]
Number = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?%?$", max_length=18)]
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$", max_length=32)]

_PART = re.compile(r"([0-9]+)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FACTORS = {
    "": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


def parse_duration(text: str) -> timedelta:
    """`1h30m`, `10s`, `500ms`. The schema has refused everything else."""
    return timedelta(seconds=sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(text)))


def parse_number(text: str) -> float:
    """`2%` is 0.02, `0.8` is 0.8."""
    return float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)


def parse_quantity(text: str) -> Decimal:
    """`500m` is 0.5, `2Gi` is 2147483648."""
    number = text.rstrip("mKMGTik")
    return Decimal(number) * _FACTORS[text.removeprefix(number)]


@dataclass(frozen=True)
class _Between:
    """Bounds of a string that stands for an amount; `compare` is the CEL expression that is ≥ 0 where a ≥ b."""

    read: Callable[[str], Any]
    at_least: str
    at_most: str | None
    compare: str

    def check(self, text: str) -> str:
        if self.read(text) < self.read(self.at_least):
            raise ValueError(f"must be at least {self.at_least}")
        if self.at_most and self.read(text) > self.read(self.at_most):
            raise ValueError(f"must be at most {self.at_most}")
        return text

    def _rules(self) -> list[dict[str, str]]:
        least = (self.compare.format("self", f"'{self.at_least}'"), f"must be at least {self.at_least}")
        most = (self.compare.format(f"'{self.at_most}'", "self"), f"must be at most {self.at_most}")
        return [{"rule": rule, "message": message} for rule, message in ([least, most] if self.at_most else [least])]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-kubernetes-validations": self._rules()}


def duration_between(at_least: str, at_most: str) -> _Between:
    return _Between(parse_duration, at_least, at_most, "duration({}) >= duration({})")


def quantity_from(at_least: str) -> _Between:
    return _Between(parse_quantity, at_least, None, "quantity({}).compareTo(quantity({})) >= 0")
