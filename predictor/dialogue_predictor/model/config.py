"""The shape of a dialogue model, as stored in a bundle.

Plain data without torch: a bundle's shape is checked before anything heavy is imported.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

Activation = Literal["gelu", "relu", "swish"]
Positions = Literal["learned", "sinusoidal"]

SIZES = ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "heads", "ffn", "max_positions")
SPECIAL_IDS = ("pad_id", "bos_id", "eos_id", "decoder_start_id")
CHOICES = {"activation": get_args(Activation), "positions": get_args(Positions)}
ADDED = ("positions", "norm_before_positions", "copy", "shared_layers", "head_size")  # younger than the first bundles


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """An encoder-decoder with embeddings tied across encoder, decoder and output.

    `pre_norm` chooses mBART's layout (a norm before each block, final norms) over BART's (a norm after each).
    `norm_before_positions` is a quirk of BlenderbotSmall: its decoder norms the embedding first and then adds the
    position. The activations are Hugging Face's of these names: "gelu" is the exact one.

    `copy` adds a head that points at source tokens. With `shared_layers` all layers of a stack have one layer's
    parameters (Universal Transformers, arXiv:1807.03819; ALBERT, arXiv:1909.11942). `head_size` is a head's width where
    that is not `d_model / heads`: a model that has lost heads keeps the width of those left.
    """

    vocab_size: int
    d_model: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    ffn: int
    max_positions: int = 512
    pre_norm: bool = True
    activation: Activation = "gelu"
    scale_embedding: bool = True
    layernorm_embedding: bool = True
    pad_id: int = 0
    bos_id: int = 1
    eos_id: int = 2
    decoder_start_id: int = 2
    dropout: float = 0.1
    positions: Positions = "learned"
    norm_before_positions: bool = False
    copy: bool = False
    shared_layers: bool = False
    head_size: int | None = None

    def __post_init__(self) -> None:
        for name in SIZES:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in SPECIAL_IDS:
            if not 0 <= (token := getattr(self, name)) < self.vocab_size:
                raise ValueError(f"{name} must lie in the vocabulary of {self.vocab_size}, got {token}")
        if self.head_size is not None and self.head_size < 1:
            raise ValueError(f"head_size must be at least 1, got {self.head_size}")
        if self.head_size is None and self.d_model % self.heads:
            raise ValueError(f"d_model ({self.d_model}) must be divisible by heads ({self.heads})")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")

    @property
    def head_width(self) -> int:
        return self.head_size or self.d_model // self.heads

    def to_dict(self) -> dict[str, Any]:
        """All fields, but younger ones only where they differ from what older bundles mean without them."""
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if name not in ADDED or value != defaults[name]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelConfig":
        """Raises ValueError that names an unknown or missing field."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown architecture field: {', '.join(unknown)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"architecture: {error}") from error
