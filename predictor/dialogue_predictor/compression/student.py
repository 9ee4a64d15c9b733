"""A student for a teacher: fresh, with the teacher's own tensors wherever the two have the same shape, and a narrower
student's embeddings those of the teacher along their principal directions.

Layers are taken evenly from first to last (Sanh et al. 2019, arXiv:1910.01108; Shleifer and Rush 2020,
arXiv:2010.13002). The encoder may stay deep while the decoder, which every token pays for, becomes shallow (Kasai et al.
2021, arXiv:2006.10369).
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.transformer import DialogueTransformer

LAYER = re.compile(r"^model\.(encoder|decoder)\.layers\.(\d+)\.")
SAME = ("vocab_size", "pad_id", "bos_id", "eos_id", "decoder_start_id")


@torch.no_grad()
def inherit(student: DialogueTransformer, teacher: DialogueTransformer) -> int:
    """Copy what fits into a fresh student, in place; returns how many of its parameters came from the teacher."""
    chosen = {
        "encoder": spread(teacher.config.encoder_layers, student.config.encoder_layers),
        "decoder": spread(teacher.config.decoder_layers, student.config.decoder_layers),
    }
    theirs = teacher.state_dict()
    copied = 0
    if student.config.d_model < teacher.config.d_model:
        narrow, wide = student.model.shared.weight, teacher.model.shared.weight
        narrow.copy_(narrowed(wide, narrow))
        copied += narrow.numel()
    for name, value in student.state_dict().items():
        source = theirs.get(counterpart(name, chosen))
        if source is not None and source.shape == value.shape:
            value.copy_(source)
            copied += value.numel()
    return copied


def narrowed(rows: Tensor, like: Tensor) -> Tensor:
    """Rows [V, W] along the D directions in which they differ most, in the deviation of `like` [V, D]."""
    _, _, directions = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False)
    projected: Tensor = rows @ directions[: like.shape[1]].T
    return projected * (like.std() / projected.std())


def counterpart(name: str, chosen: Mapping[str, Sequence[int]]) -> str:
    """The teacher's name of a student's tensor: another number where it belongs to a layer."""
    if not (found := LAYER.match(name)):
        return name
    side, layer = found[1], int(found[2])
    return f"model.{side}.layers.{chosen[side][layer]}.{name[found.end() :]}"


def spread(layers: int, kept: int) -> list[int]:
    """`kept` of so many layers, evenly from the first to the last; a single one is the first."""
    return [round(index * (layers - 1) / max(1, kept - 1)) for index in range(kept)]


def check_pair(student: ModelConfig, teacher: ModelConfig) -> None:
    """Raises ValueError naming the field in which the two speak different tokens."""
    for name in SAME:
        ours, theirs = getattr(student, name), getattr(teacher, name)
        if ours != theirs:
            raise ValueError(
                f"{name} is {ours} in the student and {theirs} in the teacher: "
                "a student learns its teacher's probabilities, so both must have the same tokenizer"
            )
