"""SimMIM: the encoder learns both languages from dialogues alone, by what is masked and by what belongs together.

L = L_MLM + λ·L_contrast over histories, and where corpora describe their intents, user turns beside the descriptions.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from dialogue_predictor.model.heads import MaskedHead, SiameseHead
from dialogue_predictor.training.batches import bucketed, endless
from dialogue_predictor.training.data.examples import Example
from dialogue_predictor.training.data.mixture import read_mixture
from dialogue_predictor.training.loop import Outcome
from dialogue_predictor.training.masking import MaskedBatch, collate_masked, maskable, masked_batches
from dialogue_predictor.training.observers import Lines, Observer
from dialogue_predictor.training.ranks import Alone, Ranks
from dialogue_predictor.training.run import begun, read_start, refuse_old
from dialogue_predictor.training.stage import (
    Material,
    StageOptions,
    aligning,
    begin,
    carry_out,
    config_for,
    material_of,
    tokenizer_for,
)
from dialogue_predictor.training.tasks import SimMIM

STAGE = "pretrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainOptions(StageOptions):
    """`contrast_weight` is λ, 0 for masks alone; `temperature` is τ."""

    contrast_weight: float = 1.0
    temperature: float = 0.1


def pretrain(
    data: Path,
    out: Path,
    options: PretrainOptions,
    start: Path | None = None,
    resume: bool = False,
    ranks: Ranks | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Train in the folder `out`. Raises FileExistsError on an old run, ValueError and OSError as `train`."""
    refuse_old(out, resume)
    ranks, observer = ranks or Alone(), observer or Lines()
    begin(options)
    mixture = read_mixture(data, options.seed, options.simulated)
    source = read_start(start) if start else None
    tokenizer = tokenizer_for(out, mixture, options, source)
    config = config_for(options, tokenizer.vocab_size, copy=bool(source and source.config.copy), start=source)
    material = histories(material_of(mixture, tokenizer, options, config))
    model = begun(config, source)
    heads = MaskedHead(config), SiameseHead(config.d_model)
    task = SimMIM(model, *heads, options.contrast_weight, options.temperature, options.align_weight, ranks.all_rows)
    freeze(model.model.decoder, model.model.copy, None if options.contrast_weight else task.siamese_head)
    pairs = aligning(data, tokenizer, options, observer)

    def batches(skip: int) -> Iterator[MaskedBatch]:
        lists = endless(material.epoch(options.epoch_examples), options.batch_tokens, options.seed, skip)
        return masked_batches(map(sources_of, lists), options.seed, skip, pairs(skip))

    held_out = [
        collate_masked(sources_of(chosen), random.Random(number))
        for number, chosen in enumerate(bucketed(material.validation, options.batch_tokens, random.Random(0)))
    ]
    return carry_out(data, out, STAGE, task, batches, held_out, options, config, tokenizer, ranks, observer)


def histories(material: Material) -> Material:
    """The sources alone, those in which something can be masked."""
    return Material({name: heard(part) for name, part in material.parts.items()}, heard(material.validation))


def heard(examples: Sequence[Example]) -> list[Example]:
    return [replace(example, target=()) for example in examples if maskable(example.source)]


def sources_of(examples: Sequence[Example]) -> list[tuple[int, ...]]:
    return [example.source for example in examples]


def freeze(*modules: nn.Module | None) -> None:
    """What has no part in the loss: processes that train together wait for every other gradient."""
    for module in modules:
        if module is not None:
            module.requires_grad_(False)
