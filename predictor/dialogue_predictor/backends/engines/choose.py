"""The engine for a model on this machine: a GPU where there is one, the CPU elsewhere."""

from typing import Any

import torch

from dialogue_predictor.backends.engines.cpu import CpuEngine
from dialogue_predictor.backends.engines.cuda import cuda_engine
from dialogue_predictor.backends.engines.linear import Precision
from dialogue_predictor.decoding.seam import StepModel
from dialogue_predictor.model.transformer import DialogueTransformer


def engine_for(model: DialogueTransformer, precision: Precision) -> StepModel[Any]:
    """Uses the model up. A GPU computes in bf16 alone; other precisions are the CPU's.

    Raises RuntimeError where the processor lacks the precision.
    """
    if precision == "bf16" and torch.cuda.is_available():
        return cuda_engine(model)
    return CpuEngine(model, precision, release=True)
