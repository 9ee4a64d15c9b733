"""Linear layers: every kernel that this processor has computes the layer, for any number of rows."""

import pytest
import torch
from torch.nn import functional

from dialogue_predictor.backends.engines import linear
from dialogue_predictor.backends.engines.linear import KERNELS, Packer, Precision, measured

TOLERANCE: dict[Precision, float] = {"fp32": 1e-5, "bf16": 2e-2, "int8": 2e-2}


@pytest.mark.parametrize("precision", KERNELS)
@pytest.mark.parametrize(("outputs", "inputs"), [(96, 32), (33, 17), (512, 128)])
def test_a_kernel_computes_the_layer_for_any_number_of_rows(precision: Precision, outputs: int, inputs: int) -> None:
    draw = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(outputs, inputs, generator=draw), torch.randn(outputs, generator=draw)
    for kernel in KERNELS[precision]:
        layer = kernel(weight, bias)
        for rows in (1, 2, 3, 4, 7, 16, 31, 32, 33, 64, 100, 127, 128, 129, 500):
            x = torch.randn(rows, inputs, generator=draw)
            exact = functional.linear(x.double(), weight.double(), bias.double())
            off = float((layer(x).double() - exact).abs().max() / exact.abs().max())
            assert off < TOLERANCE[precision], f"{kernel.__name__} of {rows} rows"


def test_a_row_in_int8_has_a_scale_of_its_own() -> None:
    layer = Packer("int8", release=False)(torch.nn.Linear(32, 64))
    small = torch.randn(1, 32)
    loud = torch.full((1, 32), 1000.0)
    assert torch.equal(layer(torch.cat((small, loud)))[:1], layer(torch.cat((small, small)))[:1])


def test_a_kernel_that_answers_wrongly_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(weight: torch.Tensor, bias: torch.Tensor) -> linear.Linear:
        return lambda x: torch.zeros(len(x), len(weight))

    monkeypatch.setitem(KERNELS, "fp32", (wrong, linear.plain))
    assert measured("fp32", 48, 24) is linear.plain


def test_a_processor_without_any_kernel_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(weight: torch.Tensor, bias: torch.Tensor) -> linear.Linear:
        raise RuntimeError("no such primitive")

    monkeypatch.setitem(KERNELS, "int8", (missing,))
    with pytest.raises(RuntimeError, match="int8; use fp32"):
        measured("int8", 48, 24)
