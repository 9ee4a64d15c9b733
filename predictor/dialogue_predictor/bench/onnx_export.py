"""`python -m dialogue_predictor.bench.onnx_export FOLDER OUT`: a Marian-shaped model as one ONNX graph that searches.

ONNX Runtime's `com.microsoft.BeamSearch` takes two graphs, in the form that its tools make of T5: an encoder that gives
the cross-attention's keys and values, and a decoder of one step whose cache goes in and comes out. Other tools of
ONNX Runtime fuse attention for the models they know; this one they do not know.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dialogue_predictor.bench.models import ONNX_FILE, whole
from dialogue_predictor.model.attention import Attention
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.families.loading import load_hugging_face
from dialogue_predictor.model.transformer import DialogueTransformer

OPSET = 17
IR_VERSION = 10
ENCODER_DECODER = 1  # the `model_type` of BeamSearch
BARRED = -1e9
WHOLE_NUMBERS = ("input_ids", "max_length", "min_length", "num_beams", "num_return_sequences")
PENALTIES = ("length_penalty", "repetition_penalty")
EXAMPLE = (2, 5, 3)  # sources, their tokens, tokens decoded


class Encoder(nn.Module):
    """Ids and mask [B, S] → keys and values [B, H, S, D/H] of every decoder layer."""

    def __init__(self, model: DialogueTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        memory = self.model.encode(ids.long(), mask > 0)
        return tuple(each for layer in self.model.model.decoder.blocks for each in keys_values(layer, memory))


class Step(nn.Module):
    """Ids [B, 1], the source's mask, own cache and the encoder's → logits [B, 1, V] and the longer cache."""

    def __init__(self, model: DialogueTransformer) -> None:
        super().__init__()
        self.model = model
        self.positions = nn.Buffer(model.model.decoder.positions.clone())

    def forward(self, ids: Tensor, mask: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        decoder = self.model.model.decoder
        layers: list[Any] = list(decoder.blocks)
        own, memory = past[: 2 * len(layers)], past[2 * len(layers) :]
        decoded = own[0].shape[2]
        states = decoder.placed(self.model.embed(ids.long()), self.positions[decoded : decoded + 1])
        barred = (1.0 - mask[:, None, None, :].float()) * BARRED
        cache: list[Tensor] = []
        for number, layer in enumerate(layers):
            keys, values = layer.self_attn.keys_values(states)
            keys, values = (torch.cat((own[2 * number], keys), 2), torch.cat((own[2 * number + 1], values), 2))
            cache += (keys, values)
            states = layer.self_attn_layer_norm(states + attended(layer.self_attn, states, keys, values, None))
            keys, values = memory[2 * number], memory[2 * number + 1]
            states = layer.encoder_attn_layer_norm(states + attended(layer.encoder_attn, states, keys, values, barred))
            states = layer.final_layer_norm(states + layer.feed_forward(states))
        return (self.model.project(states), *cache)


def keys_values(layer: Any, memory: Tensor) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor] = layer.encoder_attn.keys_values(memory)
    return found


def attended(attention: Attention, states: Tensor, keys: Tensor, values: Tensor, barred: Tensor | None) -> Tensor:
    queries = attention.queries(states)
    scores = queries @ keys.transpose(2, 3) * queries.shape[-1] ** -0.5
    return attention.merge(torch.softmax(scores if barred is None else scores + barred, dim=-1) @ values)


def names(prefix: str, which: str, layers: int) -> list[str]:
    return [f"{prefix}_{each}_{which}_{layer}" for layer in range(layers) for each in ("key", "value")]


def save_graph(
    module: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: list[str], outputs: list[str]
) -> None:
    """Traces a module; batch, source tokens and decoded tokens stay free."""
    free = {name: {0: "batch"} for name in (*inputs, *outputs)}
    for name, axes in free.items():
        if "cross" in name or name.startswith("encoder_"):
            axes[2 if "cross" in name else 1] = "source"
        elif "self" in name:
            axes[2] = "decoded" if name.startswith("past") else "decoded_now"
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing: shapes that are fixed for a model are Python numbers on purpose
        torch.onnx.export(
            module, example, str(path), input_names=inputs, output_names=outputs, dynamic_axes=free,
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip


def export(source: Path, folder: Path) -> None:
    """Writes the graph of a Hugging Face folder."""
    model = load_hugging_face(source)
    config = model.config
    layers, heads, width = config.decoder_layers, config.heads, config.head_width
    batch, read, decoded = EXAMPLE
    ids = torch.ones(batch, read, dtype=torch.int32)
    folder.mkdir(parents=True)
    encoder, step = folder / "encoder.onnx", folder / "step.onnx"
    inputs = ["encoder_input_ids", "encoder_attention_mask"]
    save_graph(Encoder(model), (ids, ids), encoder, inputs, names("present", "cross", layers))
    past = [torch.zeros(batch, heads, length, width) for length in (decoded, read) for _ in range(2 * layers)]
    inputs = ["input_ids", inputs[1], *names("past", "self", layers), *names("past", "cross", layers)]
    outputs = ["logits", *names("present", "self", layers)]
    save_graph(Step(model), (ids[:, :1], ids, *past), step, inputs, outputs)
    save_search(encoder, step, folder / ONNX_FILE, config)
    encoder.unlink()
    step.unlink()


def save_search(encoder: Path, step: Path, path: Path, config: ModelConfig) -> None:
    """The graph whose only node is the search; without early stopping."""
    import onnx
    from onnx import TensorProto, helper

    parts = {"encoder": onnx.load(encoder), "decoder": onnx.load(step)}
    for name, part in parts.items():
        part.graph.name = name
    node = helper.make_node(
        "BeamSearch",
        [*WHOLE_NUMBERS, *PENALTIES, "", "", "attention_mask"],
        ["sequences"],
        domain="com.microsoft",
        model_type=ENCODER_DECODER,
        eos_token_id=config.eos_id,
        pad_token_id=config.pad_id,
        decoder_start_token_id=config.decoder_start_id,
        early_stopping=0,
        no_repeat_ngram_size=0,
        **{name: part.graph for name, part in parts.items()},
    )
    tokens = ["batch", "source"]
    graph = helper.make_graph(
        [node],
        "search",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT32, tokens),
            *(helper.make_tensor_value_info(name, TensorProto.INT32, [1]) for name in WHOLE_NUMBERS[1:]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in PENALTIES),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT32, tokens),
        ],
        [helper.make_tensor_value_info("sequences", TensorProto.INT32, ["batch", "returned", "target"])],
    )
    opsets = [*parts["decoder"].opset_import, helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), path)


def main() -> int:
    reading = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reading.add_argument("folder", type=Path, help="a Hugging Face folder")
    reading.add_argument("out", type=Path, help="the folder for the graph")
    asked = reading.parse_args()
    whole(asked.out, lambda folder: export(asked.folder, folder))
    print(json.dumps({"file": str(asked.out / ONNX_FILE)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
