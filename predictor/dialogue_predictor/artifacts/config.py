"""A bundle's `config.json`: what it may say, and what it must.

Without torch: a bundle that says nonsense is refused before anything heavy is imported.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args

from dialogue_predictor.errors import BundleInvalid
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.text.special import SPECIAL_IDS
from dialogue_predictor.text.style import PlainText

FORMAT: Final = 1
OURS: Final = "ours"
PLAIN: Final = "plain"

WeightFormat = Literal["fp32", "fp16", "int8"]
Compute = Literal["fp32", "bf16", "int8"]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How a bundle stores its weights, and the precision in which it recommends to compute with them."""

    weights: WeightFormat = "fp16"
    compute: Compute = "fp32"

    def __post_init__(self) -> None:
        """Raises ValueError naming the field."""
        for name, choices in (("weights", get_args(WeightFormat)), ("compute", get_args(Compute))):
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Quantisation":
        """Raises ValueError naming the field."""
        if unknown := sorted(set(values) - {one.name for one in fields(cls)}):
            raise ValueError(f"{', '.join(unknown)} is unknown to this predictor")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class BundleConfig:
    """`text` is None where prompts are ours: our special tokens at our ids; else how a checkpoint from elsewhere reads."""

    name: str
    version: str
    architecture: ModelConfig
    quantisation: Quantisation = Quantisation()
    text: PlainText | None = None

    def to_dict(self) -> dict[str, Any]:
        """What config.json holds; fields younger than the first bundles only where they say something."""
        values: dict[str, Any] = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "architecture": self.architecture.to_dict(),
        }
        if self.quantisation != Quantisation():
            values["quantisation"] = asdict(self.quantisation)
        if self.text is None:
            return values | {"special_tokens": dict(SPECIAL_IDS)}
        return values | {"text": {"style": PLAIN} | asdict(self.text)}


def read_config(path: Path) -> BundleConfig:
    """Raises BundleInvalid naming the file and the field."""
    values = read_values(path)
    try:
        return config_of(values)
    except ValueError as error:
        raise BundleInvalid(f"{path}: {error}") from error


def read_values(path: Path) -> dict[str, Any]:
    """A file's JSON object. Raises BundleInvalid."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleInvalid(f"{path}: not JSON in UTF-8: {error}") from error
    except RecursionError:
        raise BundleInvalid(f"{path}: nested too deeply") from None
    if not isinstance(values, dict):
        raise BundleInvalid(f"{path}: expected an object")
    return values


def config_of(values: Mapping[str, Any]) -> BundleConfig:
    """Raises ValueError naming the field."""
    if values.get("format") != FORMAT:
        raise ValueError(f"format is {values.get('format')!r}, this predictor reads {FORMAT}")
    name, version = field(values, "name", str), field(values, "version", str)
    architecture = under("architecture", ModelConfig.from_dict, field(values, "architecture", dict))
    quantisation = under("quantisation", Quantisation.from_dict, field(values, "quantisation", dict, {}))
    text = dict(field(values, "text", dict, {}))
    style = text.pop("style", OURS)
    if style == OURS:
        if field(values, "special_tokens", dict) != dict(SPECIAL_IDS):
            raise ValueError(f"special_tokens differ from {dict(SPECIAL_IDS)}")
        return BundleConfig(name, version, architecture, quantisation)
    if style != PLAIN:
        raise ValueError(f"text: style must be {OURS} or {PLAIN}, got {style!r}")
    plain = under("text", PlainText.from_dict, text)
    for where, token in plain.ids():
        if not 0 <= token < architecture.vocab_size:
            raise ValueError(f"text: {where} must lie in the vocabulary of {architecture.vocab_size}, got {token}")
    return BundleConfig(name, version, architecture, quantisation, plain)


def field(values: Mapping[str, Any], name: str, kind: type[Value], default: Value | None = None) -> Value:
    value = values.get(name, default)
    if not isinstance(value, kind):
        raise ValueError(f"{name} is missing or not of type {kind.__name__}")
    return value


def under(name: str, read: Callable[[dict[str, Any]], Value], values: dict[str, Any]) -> Value:
    try:
        return read(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error
