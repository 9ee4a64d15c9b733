"""Whether a turn can be captured in a CUDA graph: found out without a GPU, with tensors that only have a shape and a device.

Such tensors refuse what a capture refuses: a look at a value, a shape that depends on one, operands on two devices.
"""

import random
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dialogue_predictor.backends.engines import cuda
from dialogue_predictor.backends.engines.cuda import CudaEngine
from dialogue_predictor.backends.engines.cuda_weights import packed
from dialogue_predictor.decoding.beam import begin
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.rules import Rules
from dialogue_predictor.decoding.turn import turn
from support.tiny_models import UNUSUAL_OPTIONS, random_options, tiny_model, token_ids

CPU, GPU = torch.device("cpu"), torch.device("cuda")

OPTIONS: list[dict[str, Any]] = [*UNUSUAL_OPTIONS, *({} for _ in range(4))]


class OneDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails on an operation between the host's tensors and the GPU's, which a capture cannot repeat."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        assert func is not torch.ops.aten.lift_fresh.default or result.device == CPU, "data from the host"
        operands = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        devices = {
            operand.device.type for operand in operands if operand.dim()
        }  # a number is part of the kernel's call
        assert len(devices) <= 1, f"{func} on {devices}"
        return result


def on_gpu(value: Any) -> Any:
    """The same shapes on a GPU that is not there: of a tensor, of a dataclass, or, in place, of a module."""
    if isinstance(value, Tensor):
        return torch.empty(value.shape, dtype=value.dtype, device=GPU)
    if isinstance(value, nn.Module):
        for module in value.modules():
            for name, parameter in module.named_parameters(recurse=False):
                setattr(module, name, nn.Parameter(on_gpu(parameter), requires_grad=False))
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, on_gpu(buffer))
        return value
    if isinstance(value, tuple):
        return tuple(map(on_gpu, value))
    if is_dataclass(value) and not isinstance(value, type | GenerationOptions):
        return replace(value, **{field.name: on_gpu(getattr(value, field.name)) for field in fields(value)})
    return value


@pytest.mark.parametrize("case", range(len(OPTIONS)))
def test_a_turn_can_be_captured(case: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(vocab_size=200, d_model=64, copy=case % 2 == 0)
    options = random_options(random.Random(case), **({"max_new_tokens": 12} | OPTIONS[case]))
    ids = token_ids(model.config)
    weights, rules = packed(model, CPU, torch.bfloat16), Rules.of(options, ids, CPU)
    beams = begin([0] * 8, options, ids, CPU)
    with FakeTensorMode(), torch.inference_mode():
        gpu_weights, rules, beams = on_gpu(weights), on_gpu(rules), on_gpu(beams)
        monkeypatch.setattr(cuda, "packed", lambda *_: gpu_weights)
        engine = CudaEngine(model, device=GPU)
        with OneDevice():  # type: ignore[no-untyped-call]
            source = torch.empty(8, 20, dtype=torch.int64, device=GPU)
            state = engine.encode(source, torch.empty(8, 20, dtype=torch.bool, device=GPU))
            beams, state = turn(engine, state, beams, rules, first=True)
            for _ in range(3):
                beams, state = engine.turn(state, beams, rules)
    assert {values.device.type for values in (beams.live_tokens, state.cache)} == {"cuda"}


MISTAKES: dict[str, Callable[[Tensor], object]] = {
    "a shape that depends on data": lambda x: x[x > 0],
    "a look at a value": lambda x: x.sum().item(),
    "an operand on the host": lambda x: x + torch.ones(3),
    "data from the host": lambda x: x + torch.tensor([1.0, 2.0, 3.0], device=GPU),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_captured_is_noticed(mistake: str) -> None:
    refusals = (DataDependentOutputException, DynamicOutputShapeException, AssertionError, RuntimeError)
    with FakeTensorMode(), OneDevice(), pytest.raises(refusals):  # type: ignore[no-untyped-call]
        MISTAKES[mistake](torch.empty(3, device=GPU))
