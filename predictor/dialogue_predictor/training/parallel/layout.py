"""How many copies of the model there are, and how many ranks hold one of them: decided before anything starts."""

from dataclasses import dataclass
from typing import Literal, Self

DataParallel = Literal["ddp", "fsdp"]


@dataclass(frozen=True, slots=True)
class Layout:
    """`data` replicas, each of `tensor` neighbouring ranks that split every layer's heads and feed-forward width.

    With `shard` the replicas keep pieces of weights, gradients and moments (FSDP2, arXiv:2304.11277; ZeRO-3,
    arXiv:1910.02054), else whole copies (DDP, arXiv:2006.15704). Tensor parallelism is Megatron's (arXiv:1909.08053).
    """

    data: int = 1
    tensor: int = 1
    shard: bool = False

    @classmethod
    def of(cls, world: int, data_parallel: DataParallel | None = None, tensor_parallel: int = 1) -> Self:
        """The layout of `world` processes by the flags. Raises ValueError when they do not come out even."""
        if tensor_parallel < 1:
            raise ValueError(f"--tensor-parallel must be at least 1, got {tensor_parallel}")
        if world % tensor_parallel:
            raise ValueError(
                f"--tensor-parallel {tensor_parallel} does not divide the {world} processes that torchrun started: "
                f"let --nproc-per-node be a multiple of {tensor_parallel}"
            )
        return cls(world // tensor_parallel, tensor_parallel, data_parallel == "fsdp")

    @property
    def mesh(self) -> tuple[int, int, int]:
        """Sizes of the device mesh: copies × shards × tensor. Neighbouring ranks, which talk most, are one replica."""
        return (1, self.data, self.tensor) if self.shard else (self.data, 1, self.tensor)

    def check(self, heads: int, width: int) -> None:
        """Raises ValueError when a layer's heads or feed-forward width cannot be split evenly."""
        for what, size in (("attention heads", heads), ("feed-forward width", width)):
            if size % self.tensor:
                raise ValueError(
                    f"--tensor-parallel {self.tensor} does not divide the model's {what} ({size}): "
                    "choose a divisor of both heads and feed-forward width"
                )


def refuse_alone(data_parallel: DataParallel | None, tensor_parallel: int) -> None:
    """Raises ValueError when flags ask a single process for what takes several."""
    flag = f"--data-parallel {data_parallel}" if data_parallel else f"--tensor-parallel {tensor_parallel}"
    if data_parallel or tensor_parallel != 1:
        raise ValueError(
            f"{flag} needs several processes: start with "
            "torchrun --standalone --nproc-per-node N -m dialogue_predictor.cli train ..."
        )
