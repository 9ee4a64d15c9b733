"""What this machine computes on, and in which precision it does so best."""

from pathlib import Path

import torch

from dialogue_predictor.training.loop import Precision

CPU = Path("/proc/cpuinfo")


def chosen_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises ValueError on a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return device


def best_precision(device: str) -> Precision:
    """bf16 where matrices are multiplied in it (a CPU with AMX, a recent GPU): elsewhere it is slower than fp32."""
    if chosen_device(device).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if CPU.exists() and "amx_bf16" in CPU.read_text(encoding="utf-8") else "fp32"
