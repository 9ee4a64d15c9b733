"""The recipe for dialogue: history and facts → reply, sequence to sequence, on the mixture of both languages."""

import random
from dataclasses import dataclass
from pathlib import Path

from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.transformer import filled
from dialogue_predictor.training.batches import Batch, bucketed, collate
from dialogue_predictor.training.data.mixture import read_mixture
from dialogue_predictor.training.evaluate import perplexities
from dialogue_predictor.training.loop import Outcome
from dialogue_predictor.training.observers import Lines, Observer
from dialogue_predictor.training.ranks import Alone, Ranks
from dialogue_predictor.training.run import REPORT, begun, read_json, read_start, refuse_old, write_json
from dialogue_predictor.training.stage import (
    Material,
    StageOptions,
    aligning,
    begin,
    carry_out,
    config_for,
    dialogue_batches,
    material_of,
    tokenizer_for,
)
from dialogue_predictor.training.tasks import Seq2Seq, model_weights

STAGE = "finetune"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions(StageOptions):
    """`perplexity_examples` of each corpus and language are measured in the end."""

    copy: bool = True
    smoothing: float = 0.1
    bag_weight: float = 1.0
    pointing_weight: float = 0.5
    perplexity_examples: int = 500


def finetune(
    data: Path,
    out: Path,
    options: FinetuneOptions,
    start: Path | None = None,
    resume: bool = False,
    ranks: Ranks | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Train in the folder `out`, from the weights of a run or bundle `start` where there is one.

    Raises FileExistsError on an old run, ValueError on a start of another shape, ValueError and OSError as `train`.
    """
    refuse_old(out, resume)
    ranks, observer = ranks or Alone(), observer or Lines()
    begin(options)
    mixture = read_mixture(data, options.seed, options.simulated)
    source = read_start(start) if start else None
    tokenizer = tokenizer_for(out, mixture, options, source)
    config = config_for(options, tokenizer.vocab_size, options.copy, source)
    material = material_of(mixture, tokenizer, options, config)
    weights = (options.bag_weight, options.align_weight, options.pointing_weight)
    task = Seq2Seq(begun(config, source), options.smoothing, *weights)
    pairs = aligning(data, tokenizer, options, observer)
    batches = dialogue_batches(material.epoch(options.epoch_examples), options, config.decoder_start_id, pairs)
    held_out = validation_batches(material, options.batch_tokens, config)
    outcome = carry_out(data, out, STAGE, task, batches, held_out, options, config, tokenizer, ranks, observer)
    if ranks.is_first:
        model = filled(config, {name: value.cpu() for name, value in model_weights(outcome.weights).items()})
        measured = perplexities(model, mixture.validation, tokenizer, options.limits, options.perplexity_examples)
        write_json(out / REPORT, read_json(out / REPORT) | {"perplexity": measured})
        observer.say("validation perplexity: " + ", ".join(f"{name} {value:.2f}" for name, value in measured.items()))
    return outcome


def validation_batches(material: Material, batch_tokens: int, config: ModelConfig) -> list[Batch]:
    lists = bucketed(material.validation, batch_tokens, random.Random(0))
    return [collate(chosen, config.decoder_start_id) for chosen in lists]
