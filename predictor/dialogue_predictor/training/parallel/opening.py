"""From flags to ranks: those that torchrun has started, or a single process that pays for none of this."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dialogue_predictor.training.parallel.layout import DataParallel, Layout, refuse_alone
from dialogue_predictor.training.ranks import Alone, Ranks

BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


@contextmanager
def open_ranks(
    device: torch.device, data_parallel: DataParallel | None = None, tensor_parallel: int = 1, half: bool = False
) -> Iterator[Ranks]:
    """This process among those of torchrun; closes what connects them. `half`: FSDP2 gathers weights in bf16.

    Raises ValueError when the flags do not fit the number of processes, or these not the machine's GPUs.
    """
    if "RANK" not in os.environ:
        refuse_alone(data_parallel, tensor_parallel)
        yield Alone(device)
        return
    layout = Layout.of(int(os.environ["WORLD_SIZE"]), data_parallel, tensor_parallel)
    if device.type == "cuda":
        device = own_gpu(int(os.environ["LOCAL_RANK"]), torch.cuda.device_count())
        torch.cuda.set_device(device)
    # Importing it takes seconds. It says on every rank which of a mesh's collectives might be merged: too small to matter.
    import torch.distributed as dist

    from dialogue_predictor.training.parallel.grid import Grid

    logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)
    dist.init_process_group(BACKENDS[device.type])
    try:
        yield Grid(layout, device, half)
    finally:
        dist.destroy_process_group()


def own_gpu(local_rank: int, gpus: int) -> torch.device:
    """Raises ValueError when there are more processes than GPUs."""
    if local_rank >= gpus:
        raise ValueError(f"this machine has {gpus} GPUs: start no more processes on it, or choose --device cpu")
    return torch.device("cuda", local_rank)
