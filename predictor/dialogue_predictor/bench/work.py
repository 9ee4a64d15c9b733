"""What is decoded, and what it must cost: sources, floating-point operations, bytes of weights."""

import random
from dataclasses import dataclass

from dialogue_predictor.bench.models import END, FIRST_WORD, Shape

SHORTEST = 8  # tokens of an uneven source, its end included


@dataclass(frozen=True, kw_only=True)
class Work:
    """`batch` sources of `source` tokens, each decoded to `target` tokens with `beams` beams.

    `uneven`: sources of 8 to `source` tokens, for a model whose targets end by themselves, with early stopping.
    """

    batch: int
    source: int = 64
    target: int = 32
    beams: int = 4
    uneven: bool = False

    def sources(self, vocabulary: int) -> list[list[int]]:
        """The same for every engine: random words and the end."""
        dice = random.Random(self.batch * 1000 + self.source)
        lengths = [dice.randint(min(SHORTEST, self.source), self.source) if self.uneven else self.source
                   for _ in range(self.batch)]  # fmt: skip
        return [[*(dice.randrange(FIRST_WORD, vocabulary) for _ in range(length - 1)), END] for length in lengths]


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of a work, a multiplication and an addition as two."""

    encoder: int
    memory: int  # keys and values of cross-attention
    decoder: int
    vocabulary: int

    @property
    def total(self) -> int:
        return self.encoder + self.memory + self.decoder + self.vocabulary


def operations(shape: Shape, work: Work) -> Operations:
    """What must be computed when nothing is computed twice: the first step has one row a source, cross keys and
    values are shared by the beams, a beam attends to no slot but its ancestors'. Even lengths only."""
    width, ffn = shape.d_model, shape.ffn
    read, rows = work.batch * work.source, work.batch * (1 + (work.target - 1) * work.beams)
    # the slots that self-attention looks at, over all steps
    slots = work.batch * (1 + work.beams * (work.target * (work.target + 1) // 2 - 1))
    encoder = read * (4 * width * width + 2 * width * ffn + 2 * work.source * width) * shape.encoder_layers
    memory = read * 2 * width * width * shape.decoder_layers
    decoder = rows * (6 * width * width + 2 * width * ffn + 2 * work.source * width) + slots * 2 * width
    vocabulary = rows * width * (shape.vocabulary + 1)
    return Operations(2 * encoder, 2 * memory, 2 * decoder * shape.decoder_layers, 2 * vocabulary)


def bytes_a_step(shape: Shape, bytes_a_weight: int = 4) -> int:
    """Weights that one decoder step reads: its layers without the cross keys and values, and the vocabulary."""
    layer = 6 * shape.d_model**2 + 2 * shape.d_model * shape.ffn
    return bytes_a_weight * (shape.decoder_layers * layer + shape.d_model * (shape.vocabulary + 1))
