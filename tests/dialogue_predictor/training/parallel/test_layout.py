"""How flags become a layout, and what they are refused with."""

import pytest
import torch

from dialogue_predictor.training.parallel.layout import DataParallel, Layout
from dialogue_predictor.training.parallel.opening import open_ranks, own_gpu
from dialogue_predictor.training.ranks import Alone


@pytest.mark.parametrize(
    ("world", "data_parallel", "tensor_parallel", "mesh"),
    [
        (4, None, 1, (4, 1, 1)),
        (4, "ddp", 2, (2, 1, 2)),
        (4, "fsdp", 1, (1, 4, 1)),
        (8, "fsdp", 2, (1, 4, 2)),
        (2, None, 2, (1, 1, 2)),
    ],
)
def test_the_mesh_is_copies_by_shards_by_tensor(
    world: int, data_parallel: DataParallel | None, tensor_parallel: int, mesh: tuple[int, int, int]
) -> None:
    assert Layout.of(world, data_parallel, tensor_parallel).mesh == mesh


@pytest.mark.parametrize(
    ("tensor_parallel", "said"),
    [(0, "--tensor-parallel must be at least 1, got 0"), (3, "does not divide the 4 processes that torchrun started")],
)
def test_a_layout_comes_out_even(tensor_parallel: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Layout.of(4, None, tensor_parallel)


@pytest.mark.parametrize(
    ("heads", "width", "said"), [(6, 64, r"attention heads \(6\)"), (8, 66, r"feed-forward width \(66\)")]
)
def test_a_layer_is_split_evenly(heads: int, width: int, said: str) -> None:
    with pytest.raises(ValueError, match=f"--tensor-parallel 4 does not divide the model's {said}"):
        Layout(tensor=4).check(heads, width)


@pytest.mark.parametrize(("data_parallel", "tensor_parallel"), [("fsdp", 1), ("ddp", 1), (None, 2)])
def test_one_process_is_told_how_to_start_several(
    data_parallel: DataParallel | None, tensor_parallel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    flag = f"--data-parallel {data_parallel}" if data_parallel else "--tensor-parallel 2"
    with (
        pytest.raises(ValueError, match=f"{flag} needs several processes: start with torchrun"),
        open_ranks(torch.device("cpu"), data_parallel, tensor_parallel),
    ):
        pass


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with open_ranks(torch.device("cpu")) as ranks:
        assert isinstance(ranks, Alone)


def test_every_process_has_a_gpu_of_its_own() -> None:
    assert own_gpu(1, 2) == torch.device("cuda:1")
    with pytest.raises(ValueError, match="this machine has 2 GPUs: start no more processes on it"):
        own_gpu(2, 2)
