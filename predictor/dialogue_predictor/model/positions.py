"""Where a token stands, as a vector added to its embedding: a learned table or the fixed one of sines."""

import torch
from torch import Tensor, nn

POSITION_OFFSET = 2  # rows in front of BART's table that stand for no position
LONGEST_WAVE = 10_000


class LearnedPositions(nn.Embedding):
    """BART's table: position p is row p + 2. The rows in front are kept for the sake of its checkpoints."""

    def __init__(self, positions: int, width: int) -> None:
        rows = positions + POSITION_OFFSET
        super().__init__(rows, width, _weight=torch.empty(rows, width))  # `build` draws its values

    @property
    def table(self) -> Tensor:
        """[P, D], position 0 first."""
        return self.weight[POSITION_OFFSET:]


class SinusoidalPositions(nn.Module):
    """Marian's and Pegasus's table. It follows from its shape, so no state dict holds it."""

    weight: Tensor

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", sinusoids(positions, width), persistent=False)

    @property
    def table(self) -> Tensor:
        """[P, D], position 0 first."""
        return self.weight


def sinusoids(positions: int, width: int) -> Tensor:
    """All sines, then all cosines, not interleaved → [P, D] in fp32, to which Hugging Face rounds them too.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.5, but for the order. On the CPU also where a model is built without
    storage ("meta") to be given its weights: no weights bring these.
    """
    waves = torch.arange(0, width, 2, dtype=torch.float64, device="cpu") / width
    angles = torch.arange(positions, dtype=torch.float64, device="cpu")[:, None] / torch.pow(LONGEST_WAVE, waves)
    return torch.cat((angles.sin(), angles[:, : width // 2].cos()), dim=1).float()
