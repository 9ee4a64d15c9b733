"""What a checkpoint's config.json says, as a ModelConfig: one pure function a family.

Settings that Hugging Face's code of today ignores (`normalize_before`, `static_position_embeddings`, …) are ignored
here too: their values in old files describe what the family does anyway.
"""

from collections.abc import Callable, Mapping
from typing import Any

from dialogue_predictor.model.config import ModelConfig

Settings = Mapping[str, Any]

ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "swish": "swish", "silu": "swish"}
ALIKE = (  # our encoder and decoder differ in their number of layers alone
    ("encoder_attention_heads", "decoder_attention_heads"),
    ("encoder_ffn_dim", "decoder_ffn_dim"),
)
ONLY = {  # settings supported at one value, which is also what their absence means
    "is_encoder_decoder": True,
    "tie_word_embeddings": True,
    "share_encoder_decoder_embeddings": True,
    "position_embedding_type": "absolute",
    "quantization_config": None,
}


def bart(settings: Settings) -> ModelConfig:
    return shape(settings, pre_norm=False, layernorm_embedding=True)


def mbart(settings: Settings) -> ModelConfig:
    return shape(settings, pre_norm=True, layernorm_embedding=True)


def marian(settings: Settings) -> ModelConfig:
    vocabulary, target = integer(settings, "vocab_size"), settings.get("decoder_vocab_size")
    if target not in (None, vocabulary):
        raise ValueError(f"decoder_vocab_size must equal vocab_size ({vocabulary}), got {target!r}")
    return shape(settings, pre_norm=False, layernorm_embedding=False, positions="sinusoidal")


def pegasus(settings: Settings) -> ModelConfig:
    return shape(settings, pre_norm=True, layernorm_embedding=False, positions="sinusoidal")


def blenderbot(settings: Settings) -> ModelConfig:
    return shape(settings, pre_norm=True, layernorm_embedding=False)


def blenderbot_small(settings: Settings) -> ModelConfig:
    """Scales the decoder's embedding as well, as in training (ParlAI) and in transformers 4; version 5 leaves it out."""
    return shape(settings, pre_norm=False, layernorm_embedding=True, norm_before_positions=True)


FAMILIES: dict[str, Callable[[Settings], ModelConfig]] = {
    "bart": bart,
    "mbart": mbart,
    "marian": marian,
    "pegasus": pegasus,
    "blenderbot": blenderbot,
    "blenderbot-small": blenderbot_small,
}


def shape_of(settings: Settings) -> ModelConfig:
    """Raises ValueError that names the setting our network does not know or lacks."""
    family = settings.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise ValueError(f"model_type must be one of {', '.join(FAMILIES)}, got {family!r}")
    return FAMILIES[family](settings)


def shape(settings: Settings, **layout: Any) -> ModelConfig:
    """The settings that all families share, with the family's `layout`."""
    for name, value in ONLY.items():
        if settings.get(name, value) != value:
            raise ValueError(f"{name} must be {value}, got {settings[name]!r}")
    for ours, other in ALIKE:
        if integer(settings, ours) != integer(settings, other):
            raise ValueError(f"{ours} and {other} must be equal, got {settings[ours]} and {settings[other]}")
    activation = settings.get("activation_function", "gelu")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation_function must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    return ModelConfig(
        vocab_size=integer(settings, "vocab_size"),
        d_model=integer(settings, "d_model"),
        encoder_layers=integer(settings, "encoder_layers"),
        decoder_layers=integer(settings, "decoder_layers"),
        heads=integer(settings, "encoder_attention_heads"),
        ffn=integer(settings, "encoder_ffn_dim"),
        max_positions=integer(settings, "max_position_embeddings"),
        activation=ACTIVATIONS[activation],  # type: ignore[arg-type]  # checked above
        scale_embedding=bool(settings.get("scale_embedding", False)),
        pad_id=token(settings, "pad_token_id"),
        bos_id=token(settings, "bos_token_id", instead="decoder_start_token_id"),  # some families have no <s>
        eos_id=token(settings, "eos_token_id"),
        decoder_start_id=token(settings, "decoder_start_token_id", instead="bos_token_id"),
        dropout=settings.get("dropout", 0.1),
        **layout,
    )


def integer(settings: Settings, name: str) -> int:
    value = settings.get(name)
    if type(value) is not int:
        raise ValueError(f"{name} must be an integer, got {value!r}")
    return value


def token(settings: Settings, name: str, *, instead: str = "") -> int:
    """A token's id, or another's where there is none; a list of one is that one."""
    value = settings.get(name)
    if value is None:
        value = settings.get(instead)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if type(value) is not int:
        raise ValueError(f"{name} must be one token id, got {value!r}")
    return value
