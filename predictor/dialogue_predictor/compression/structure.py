"""A truly smaller model from the most important parts of a larger one: heads, hidden units, layers.

Every layer keeps its own most important ones, as many as every other, so that one config describes them all. What is kept
is copied as it is, in its old order; a part that gave nothing but zeros can leave without changing a single reply.
"""

import re
from dataclasses import asdict

import torch
from torch import Tensor

from dialogue_predictor.compression.importance import Importance
from dialogue_predictor.compression.student import LAYER
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.transformer import DialogueTransformer, filled

ATTENTION = re.compile(r"^(.*(?:self_attn|encoder_attn))\.(q_proj|k_proj|v_proj|out_proj)\.(weight|bias)$")
FEED_FORWARD = re.compile(r"^(.*\.layers\.\d+)\.(fc1|fc2)\.(weight|bias)$")


def smaller_config(
    config: ModelConfig,
    heads: int | None = None,
    ffn: int | None = None,
    encoder_layers: int | None = None,
    decoder_layers: int | None = None,
) -> ModelConfig:
    """The config with so many of each; None keeps them all. Raises ValueError naming the flag that asks for more."""
    asked = {"heads": heads, "ffn": ffn, "encoder_layers": encoder_layers, "decoder_layers": decoder_layers}
    changes = {name: value for name, value in asked.items() if value is not None}
    if not changes:
        raise ValueError("nothing to take out: give --heads, --ffn, --encoder-layers or --decoder-layers")
    for name, value in changes.items():
        flag, has = f"--{name.replace('_', '-')}", getattr(config, name)
        if not 1 <= value <= has:
            raise ValueError(f"{flag} must lie in 1..{has}, what the model has, got {value}")
        if config.shared_layers and name.endswith("layers") and value < has:
            raise ValueError(f"{flag} {value}: all layers of the model are one, which cannot be taken out in part")
    size = config.head_width if changes.get("heads", config.heads) < config.heads else config.head_size
    return ModelConfig(**asdict(config) | changes | {"head_size": size})


@torch.no_grad()
def smaller(model: DialogueTransformer, importance: Importance, config: ModelConfig) -> DialogueTransformer:
    """The model of a `smaller_config` with the parts that matter most. The larger one is not changed."""
    layers = {
        side: most_important(torch.tensor([
            value for name, value in importance.layers.items() if name.startswith(f"model.{side}.")
        ]), getattr(config, f"{side}_layers"))
        for side in ("encoder", "decoder")
    }  # fmt: skip
    if config.shared_layers:
        layers = {"encoder": torch.tensor([0]), "decoder": torch.tensor([0])}
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if (kept_name := renamed(name, layers)) is not None:
            state[kept_name] = part(name, value, importance, config).clone()
    return filled(config, state)


def most_important(values: Tensor, count: int) -> Tensor:
    """The indices of the `count` greatest, ascending."""
    return values.argsort(descending=True, stable=True)[:count].sort().values


def renamed(name: str, layers: dict[str, Tensor]) -> str | None:
    """The name under its layer's new number, None when the layer is gone."""
    if not (found := LAYER.match(name)):
        return name
    side, layer = found[1], int(found[2])
    kept = layers[side].tolist()
    return f"model.{side}.layers.{kept.index(layer)}.{name[found.end() :]}" if layer in kept else None


def part(name: str, value: Tensor, importance: Importance, config: ModelConfig) -> Tensor:
    """The kept rows of what computes heads or hidden units, the kept columns of what reads them."""
    if found := ATTENTION.match(name):
        heads = most_important(importance.heads[found[1]], config.heads)
        width = config.head_width
        units = (heads[:, None] * width + torch.arange(width)).flatten()
        return chosen(value, units, reads=found[2] == "out_proj", kind=found[3])
    if found := FEED_FORWARD.match(name):
        units = most_important(importance.hidden[found[1]], config.ffn)
        return chosen(value, units, reads=found[2] == "fc2", kind=found[3])
    return value


def chosen(value: Tensor, units: Tensor, *, reads: bool, kind: str) -> Tensor:
    if not reads:
        return value[units]
    return value[:, units] if kind == "weight" else value
