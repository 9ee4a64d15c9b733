"""The recipe of pruning: a run or bundle → a run with zeros, or with fewer parts, that has recovered."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from torch import Tensor

from dialogue_predictor.compression.distillation import Distillation, DistilWeights, Teacher
from dialogue_predictor.compression.importance import measure_importance
from dialogue_predictor.compression.magnitude import Scope, apply, masks_of, sparsity
from dialogue_predictor.compression.measure import Candidate, report_comparison
from dialogue_predictor.compression.structure import smaller, smaller_config
from dialogue_predictor.model.transformer import DialogueTransformer, filled
from dialogue_predictor.training.batches import Batch
from dialogue_predictor.training.data.mixture import read_mixture
from dialogue_predictor.training.finetune import validation_batches
from dialogue_predictor.training.loop import Outcome
from dialogue_predictor.training.objectives import sequence_to_sequence
from dialogue_predictor.training.observers import Lines, Observer
from dialogue_predictor.training.ranks import Alone, Ranks
from dialogue_predictor.training.run import REPORT, load_start, read_json, refuse_old, write_json
from dialogue_predictor.training.stage import StageOptions, aligning, begin, carry_out, dialogue_batches, material_of

STAGE = "prune"


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions(StageOptions):
    """Either `share` of the single weights becomes zero, compared within `scope`, or `model` says how many heads, hidden
    units and layers stay; their importance is measured on so many batches. `weights`: the losses of recovery, in which the
    unpruned model teaches. `compared` examples are measured in the end.
    """

    share: float | None = None
    scope: Scope = "global"
    importance_batches: int = 32
    weights: DistilWeights = field(default_factory=DistilWeights)
    compared: int = 300

    def __post_init__(self) -> None:
        StageOptions.__post_init__(self)
        if (self.share is not None) == bool(self.model):
            raise ValueError(
                "give either --share, for zeros, or some of --heads, --ffn, --encoder-layers and --decoder-layers, "
                "for a smaller model"
            )
        if self.share is not None and not 0 < self.share < 1:
            raise ValueError(f"--share must lie between 0 and 1, got {self.share}")


def prune(
    source: Path,
    data: Path,
    out: Path,
    options: PruneOptions,
    resume: bool = False,
    ranks: Ranks | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Prune and let recover in the folder `out`. Raises FileExistsError on an old run, ValueError on flags that the model
    cannot follow, ValueError and OSError as `train`."""
    refuse_old(out, resume)
    ranks, observer = ranks or Alone(), observer or Lines()
    begin(options)
    original, tokenizer = load_start(source)
    if options.model:
        smaller_config(original.config, **options.model)  # what cannot be done is said before the corpora are read
    material = material_of(read_mixture(data, options.seed, options.simulated), tokenizer, options, original.config)
    pairs = aligning(data, tokenizer, options, observer)
    batches = dialogue_batches(material.epoch(options.epoch_examples), options, original.config.decoder_start_id, pairs)
    model = pruned(original, options, list(islice(batches(0), options.importance_batches)) if options.model else ())
    task = Distillation(model, Teacher(original), replace(options.weights, align=options.align_weight))
    held_out = validation_batches(material, options.batch_tokens, model.config)
    outcome = carry_out(data, out, STAGE, task, batches, held_out, options, model.config, tokenizer, ranks, observer)
    if ranks.is_first:
        recovered, _ = load_start(out)
        write_json(out / REPORT, read_json(out / REPORT) | {"sparsity": round(sparsity(recovered), 6)})
        sample = material.validation[: options.compared]
        report_comparison(out, Candidate("before", original), "pruned", sample, tokenizer, observer)
    return outcome


def pruned(original: DialogueTransformer, options: PruneOptions, batches: Sequence[Batch]) -> DialogueTransformer:
    """A model ready to recover; the original is not changed. `batches` decide what matters where parts are taken out."""
    before = replace(original.config, dropout=options.dropout)
    if options.share is not None:
        model = filled(before, {name: value.clone() for name, value in original.state_dict().items()})
        apply(model, masks_of(model, options.share, options.scope))
        return model

    def loss(batch: Batch) -> Tensor:
        return sequence_to_sequence(original, batch).mean

    config = smaller_config(before, **options.model)
    return smaller(original, measure_importance(original, batches, loss), config)
