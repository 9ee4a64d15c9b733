"""Marian-shaped models of random weights that say varied things, as Hugging Face folders and as CTranslate2's.

Random weights decode as fast as trained ones of the same shape. What must be right is that hypotheses differ and
compete: the weights' deviations are chosen so that every source gets an answer of its own.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dialogue_predictor.bench.settings import CT2_FP32, CT2_INT8, ONNX_RUNTIME

END, UNKNOWN, FIRST_WORD = 0, 1, 2  # Marian's ids; the padding, which also starts a target, comes after the last word
NEVER = -1e4  # an output bias that forbids a token, so that no engine needs a logits processor for it
CONVERSIONS = {CT2_FP32: None, CT2_INT8: "int8"}
ONNX_FILE = "model.onnx"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Layers, widths and the size of the vocabulary without padding; `live_end`: targets end at varied lengths."""

    encoder_layers: int
    decoder_layers: int
    d_model: int
    heads: int
    ffn: int
    vocabulary: int
    live_end: bool = False

    @property
    def padding(self) -> int:
        return self.vocabulary


BASE = Shape(encoder_layers=6, decoder_layers=6, d_model=512, heads=8, ffn=2048, vocabulary=32000)
STUDENT = Shape(encoder_layers=2, decoder_layers=2, d_model=256, heads=4, ffn=1024, vocabulary=32000, live_end=True)
SHAPES = {
    "base": BASE,
    "base-ending": Shape(**(vars(BASE) | {"live_end": True})),
    "student-ending": STUDENT,
}


def folder_of(work: Path, name: str, engine: str = "hf") -> Path:
    """Where a model lies; engines without a form of their own read the Hugging Face folder."""
    return work / (f"{name}-{engine}" if engine in (*CONVERSIONS, ONNX_RUNTIME) else name)


def prepare(work: Path, names: list[str]) -> None:
    """Makes the models that a work folder lacks, with both conversions; each is there whole or not at all."""
    for name in names:
        shape = SHAPES[name]
        whole(folder_of(work, name), lambda path, shape=shape: save(shape, path))  # type: ignore[misc]
        for engine, quantization in CONVERSIONS.items():
            whole(
                folder_of(work, name, engine),
                lambda path, name=name, quantization=quantization: convert(  # type: ignore[misc]
                    folder_of(work, name), path, quantization
                ),
            )


def whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a folder beside the wanted one, and moves it there once it is complete."""
    if folder.exists():
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    write(unfinished)
    unfinished.rename(folder)


@torch.no_grad()
def save(shape: Shape, folder: Path, seed: int = 0) -> None:
    """A Hugging Face folder with random weights; the same for the same seed."""
    from transformers import MarianConfig, MarianMTModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    wide = (512 / shape.d_model) ** 0.5  # sums over fewer inputs need wider weights
    config = MarianConfig(
        vocab_size=shape.vocabulary + 1,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        d_model=shape.d_model,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.ffn,
        decoder_ffn_dim=shape.ffn,
        activation_function="swish",
        scale_embedding=True,
        max_position_embeddings=512,
        pad_token_id=shape.padding,
        eos_token_id=END,
        decoder_start_token_id=shape.padding,
        forced_eos_token_id=None,
        init_std=0.06 * wide,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MarianMTModel(config).eval()
        model.model.shared.weight.normal_(0, 0.15 * wide)
        diversify(model, shape, config.init_std)
    model.model.shared.weight[shape.padding] = 0
    bias = torch.zeros(1, shape.vocabulary + 1)
    bias[0, END] = 9.0 if shape.live_end else NEVER
    bias[0, shape.padding] = NEVER
    model.final_logits_bias = bias
    model.generation_config.forced_eos_token_id = None
    model.generation_config.max_length = None
    model.save_pretrained(folder)


def diversify(model: nn.Module, shape: Shape, std: float) -> None:
    """Keeps what differs between sources alive through the layers.

    An activation's mean is not zero, which adds the same direction to every position in each layer; the second
    feed-forward bias takes it away. Residual branches are scaled to the depth, attention is sharpened.
    """
    mean = nn.functional.silu(torch.randn(200_000) * std * shape.d_model**0.5).mean()
    residual = (2 / max(shape.encoder_layers, shape.decoder_layers)) ** 0.5
    body: Any = model.model
    for layer in (*body.encoder.layers, *body.decoder.layers):
        layer.fc2.weight.mul_(residual)
        layer.fc2.bias.copy_(-mean * layer.fc2.weight.sum(1))
        for attention in (layer.self_attn, getattr(layer, "encoder_attn", None)):
            if attention is not None:
                attention.out_proj.weight.mul_(residual)
                attention.q_proj.weight.mul_(1.5)
                attention.k_proj.weight.mul_(1.5)


class Words:
    """The tokenizer that CTranslate2's converter asks for: a word for each id."""

    eos_token, unk_token, pad_token, bos_token = "</s>", "<unk>", "<pad>", None
    additional_special_tokens: tuple[str, ...] = ()

    def __init__(self, vocabulary: int) -> None:
        self.words = [self.eos_token, self.unk_token, *(f"t{token}" for token in range(FIRST_WORD, vocabulary))]
        self.words.append(self.pad_token)

    def get_vocab(self) -> dict[str, int]:
        return {word: token for token, word in enumerate(self.words)}

    def convert_ids_to_tokens(self, token: int) -> str:
        return self.words[token]


def convert(source: Path, folder: Path, quantization: str | None) -> None:
    """A Hugging Face folder as CTranslate2's own converter turns it."""
    from ctranslate2.converters import TransformersConverter

    vocabulary = json.loads((source / "config.json").read_text(encoding="utf-8"))["pad_token_id"]

    class Converter(TransformersConverter):  # type: ignore[misc]
        def load_tokenizer(self, *_: object, **__: object) -> Words:
            return Words(vocabulary)

    Converter(str(source)).convert(str(folder), quantization=quantization)
