"""Linear layers for decoding on a CPU: which kernel is fastest depends on the processor, so that it is measured.

torch's own `linear` packs a weight anew in every call, which decoding calls a thousand times with few rows. MKL and
oneDNN can keep it packed; on Intel the one wins, on AMD the other, by up to three times. The packed operators are
those of torch.compile's CPU backend: private, there since torch 2.0, and looked for here before they are used.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Precision = Literal["fp32", "bf16", "int8"]
Linear = Callable[[Tensor], Tensor]
"""[R, in] in fp32 → [R, out] in fp32."""
Pack = Callable[[Tensor, Tensor], Linear]
"""Weight [out, in] and bias [out], both fp32 → the layer."""

PACKED_ROWS = 128  # a hint for both libraries; the answer is right for any number of rows
TRIAL_ROWS = 32
TRIAL_OUTPUTS = 4096
TRIALS = 15
AGREES = 1e-3
INT8_MOST = 127.0
LEAST = 1e-8  # of a row's or an output's peak


def plain(weight: Tensor, bias: Tensor) -> Linear:
    return lambda x: functional.linear(x, weight, bias)


def mkl_packed(weight: Tensor, bias: Tensor) -> Linear:
    """Packed for MKL's `sgemm_compute`; the operator asks the unpacked weight for its shape only."""
    packed = torch.ops.mkl._mkl_reorder_linear_weight(weight.contiguous(), PACKED_ROWS)
    shape_only = torch.zeros(1).expand(weight.shape)
    run = torch.ops.mkl._mkl_linear
    return lambda x: run(x, packed, shape_only, bias, x.shape[0])


def onednn_packed(weight: Tensor, bias: Tensor) -> Linear:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), PACKED_ROWS)
    run = torch.ops.mkldnn._linear_pointwise
    return lambda x: run(x, packed, bias, "none", [], "none")


def bf16_packed(weight: Tensor, bias: Tensor) -> Linear:
    """bf16 products with fp32 sums in oneDNN; the result is rounded to bf16 once."""
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.bfloat16().contiguous(), PACKED_ROWS)
    halved = bias.bfloat16()
    run = torch.ops.mkldnn._linear_pointwise
    return lambda x: run(x.bfloat16(), packed, halved, "none", [], "none").float()


def int8_packed(weight: Tensor, bias: Tensor) -> Linear:
    """Symmetric int8: a scale for each output, and one for each row of the input as it comes.

    torch's ready-made dynamic layer takes one scale from the whole input, by which a reply would depend on its
    neighbours in the batch.
    """
    scales = weight.abs().amax(dim=1).clamp_min(LEAST) / INT8_MOST  # [out]
    quantised = (weight / scales[:, None]).round().to(torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(quantised, [PACKED_ROWS, weight.shape[1]])
    scales = scales / INT8_MOST  # with the rows' peaks instead of their steps below
    zeros, most = torch.zeros(len(scales), dtype=torch.int64), torch.tensor(INT8_MOST)
    run = torch.ops.onednn.qlinear_pointwise

    def layer(x: Tensor) -> Tensor:
        peaks = x.abs().amax(dim=1, keepdim=True).clamp_min_(LEAST)  # [R, 1]
        rows = (x * (most / peaks)).round_().to(torch.int8)
        sums = run(rows, 1.0, 0, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], "")
        return torch.addcmul(bias, sums, peaks, out=sums)

    return layer


KERNELS: dict[Precision, tuple[Pack, ...]] = {
    "fp32": (plain, onednn_packed, mkl_packed),
    "bf16": (bf16_packed,),
    "int8": (int8_packed,),
}


class Packer:
    """Packs a model's weights in one precision, each shape with the kernel that is fastest for it here.

    With `release` it empties the layers that it has packed: a model is never in memory twice.
    """

    def __init__(self, precision: Precision, *, release: bool) -> None:
        self._precision, self._release = precision, release

    def __call__(self, *layers: nn.Linear) -> Linear:
        """The layers, which have the same input, as one."""
        return self.scaled(*layers, factor=None)

    def scaled(self, *layers: nn.Linear, factor: float | None) -> Linear:
        """The same, with the first layer's outputs times a factor."""
        weights, biases = [each.weight.detach() for each in layers], [each.bias.detach() for each in layers]
        if factor is not None:
            weights[0], biases[0] = weights[0] * factor, biases[0] * factor
        packed = self.pack(torch.cat(weights), torch.cat(biases))
        if self._release:
            for each in layers:
                each.weight.data = each.weight.data.new_empty(0)
        return packed

    def pack(self, weight: Tensor, bias: Tensor) -> Linear:
        outputs = min(weight.shape[0], TRIAL_OUTPUTS)
        return fastest(self._precision, outputs, weight.shape[1])(weight, bias)


@lru_cache
def fastest(precision: Precision, outputs: int, inputs: int) -> Pack:
    """The kernel for weights of a shape. Raises RuntimeError where the processor has none.

    On one thread and by its own time, which says the same on a machine that is busy with other things.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measured(precision, outputs, inputs)
    finally:
        torch.set_num_threads(threads)


def measured(precision: Precision, outputs: int, inputs: int) -> Pack:
    draw = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(outputs, inputs, generator=draw), torch.randn(outputs, generator=draw)
    rows = torch.randn(TRIAL_ROWS, inputs, generator=draw)
    exact = functional.linear(rows, weight, bias)
    tolerance = (AGREES if precision == "fp32" else 0.1) * float(exact.abs().max())
    timed: list[tuple[float, int]] = []
    for number, kernel in enumerate(KERNELS[precision]):
        try:
            layer = kernel(weight, bias)
            answer = layer(rows)
        except (AttributeError, RuntimeError):  # a torch, or a processor, without it
            continue
        if float((answer - exact).abs().max()) <= tolerance:
            timed.append((min(seconds(layer, rows) for _ in range(TRIALS)), number))
    if not timed:
        raise RuntimeError(f"this processor, or this torch, computes no linear layers in {precision}; use fp32")
    return KERNELS[precision][min(timed)[1]]


def seconds(layer: Linear, rows: Tensor) -> float:
    began = time.thread_time()
    layer(rows)
    return time.thread_time() - began
