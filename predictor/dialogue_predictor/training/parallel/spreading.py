"""A task spread over a device mesh: split layers first, then the replicas' copies or pieces around them."""

import warnings

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

from dialogue_predictor.model.attention import Attention
from dialogue_predictor.model.transformer import Layer
from dialogue_predictor.training.parallel.layout import Layout

COPY, SHARD, TENSOR = "copy", "shard", "tensor"
HALF = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)


def spread(task: nn.Module, layout: Layout, mesh: DeviceMesh, half: bool) -> nn.Module:
    """What is called in the task's place; gradients come out averaged over the replicas. The task keeps its names.

    DDP knows no tensors in pieces, so beside tensor parallelism FSDP2 also makes the copies: of shards of one piece.
    `half`: what FSDP2 gathers for computing is bf16; weights and what is summed stay fp32.
    Raises ValueError where a layer cannot be split evenly.
    """
    layers = [module for module in task.modules() if isinstance(module, Layer)]
    for layer in layers:
        layout.check(layer.self_attn.heads, layer.fc1.out_features)
    if layout.tensor == 1 and not layout.shard:
        return copied(task, mesh)
    if layout.tensor > 1:
        for layer in layers:
            parallelize_module(layer, mesh[TENSOR], plan(layer))
    replicas = mesh[SHARD] if layout.shard or layout.data == 1 else mesh[COPY, SHARD]
    policy = HALF if half else MixedPrecisionPolicy()
    for module in (*layers, task):
        fully_shard(module, mesh=replicas, mp_policy=policy)
    return task


def copied(task: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """A static graph may leave parameters out, as pretraining does the decoder's. Buffers are constants: nobody sends them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch 2.11 does not know what takes `broadcast_buffers`' place
        return DistributedDataParallel(
            task, process_group=mesh.get_group(COPY), static_graph=True, broadcast_buffers=False
        )


def plan(layer: Layer) -> dict[str, ParallelStyle]:
    """Every rank has some heads and some of the feed-forward width; a block's two products cost one all-reduce."""
    styles: dict[str, ParallelStyle] = {"fc1": ColwiseParallel(), "fc2": RowwiseParallel()}
    for name, module in layer.named_children():
        if isinstance(module, Attention):
            styles |= {f"{name}.{own}": ColwiseParallel() for own in ("q_proj", "k_proj", "v_proj")}
            styles[f"{name}.out_proj"] = RowwiseParallel()
    return styles
