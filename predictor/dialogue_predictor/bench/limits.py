"""What this machine can do at best: multiply matrices of the model's shapes, and read memory.

`python -m dialogue_predictor.bench.limits --rows 128 --threads 2` prints both as JSON: the highest rate that any of
PyTorch's fp32 kernels reached on any of the shapes, and the highest rate of any way to read a buffer that is as large
as the weights of a step.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from dialogue_predictor.bench.models import BASE
from dialogue_predictor.bench.work import bytes_a_step

SECONDS_A_KERNEL = 0.4
Kernel = Callable[[], Tensor]


def shapes(width: int, ffn: int, vocabulary: int) -> tuple[tuple[int, int], ...]:
    """Inputs and outputs of a layer's linear maps and of the projection."""
    return ((width, width), (width, 3 * width), (width, ffn), (ffn, width), (width, vocabulary))


def kernels(rows: int, inputs: int, outputs: int) -> Iterator[tuple[str, Kernel]]:
    """Every fp32 kernel that this build of PyTorch has for it, weights packed beforehand."""
    batch, weight, bias = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
    yield "F.linear", lambda: functional.linear(batch, weight, bias)
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        yield "oneDNN", lambda: torch.ops.mkldnn._linear_pointwise(batch, packed, bias, "none", [], "none")
    if torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        mkl = torch.ops.mkl._mkl_reorder_linear_weight(weight, rows)
        yield "MKL", lambda: torch.ops.mkl._mkl_linear(batch, mkl, weight, bias, rows)


def readers(count: int) -> Iterator[tuple[str, Kernel]]:
    """Ways to read `count` bytes and write next to nothing."""
    numbers, ones = torch.ones(count // 4), torch.ones(BASE.d_model)
    table = numbers[: count // 4 // BASE.d_model * BASE.d_model].view(-1, BASE.d_model)
    yield "sum", numbers.sum
    yield "dot", lambda: torch.dot(numbers, numbers)
    yield "mv", lambda: torch.mv(table, ones)


def fastest(kernel: Kernel, seconds: float) -> float:
    """The shortest time of one run within a budget, in seconds."""
    kernel()
    shortest, until = float("inf"), time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        kernel()
        shortest = min(shortest, time.perf_counter() - began)
    return shortest


@torch.inference_mode()
def gemm(rows: int, seconds: float) -> tuple[str, float]:
    """The best kernel with its shape, and its operations a second."""
    rates: dict[str, float] = {}
    for inputs, outputs in shapes(BASE.d_model, BASE.ffn, BASE.vocabulary):
        for name, kernel in kernels(rows, inputs, outputs):
            rates[f"{name} {rows}x{inputs}x{outputs}"] = 2 * rows * inputs * outputs / fastest(kernel, seconds)
    name = max(rates, key=rates.__getitem__)
    return name, rates[name]


@torch.inference_mode()
def reading(count: int, seconds: float) -> tuple[str, float]:
    """The best way to read, and its bytes a second."""
    rates = {name: count / fastest(kernel, seconds) for name, kernel in readers(count)}
    name = max(rates, key=rates.__getitem__)
    return name, rates[name]


def main() -> int:
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--rows", type=int, required=True, help="of a step: sources times beams")
    asking.add_argument("--threads", type=int, required=True)
    asking.add_argument("--seconds", type=float, default=SECONDS_A_KERNEL, help="for each kernel and shape")
    asked = asking.parse_args()
    torch.set_num_threads(asked.threads)
    kernel, operations = gemm(asked.rows, asked.seconds)
    reader, read = reading(bytes_a_step(BASE), asked.seconds)
    print(json.dumps({"kernel": kernel, "operations": operations, "reader": reader, "bytes": read}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
