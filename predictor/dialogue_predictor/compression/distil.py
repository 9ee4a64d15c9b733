"""The recipe of distillation: a teacher's run or bundle → a student's run."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dialogue_predictor.compression.distillation import Distillation, DistilWeights, Teacher
from dialogue_predictor.compression.measure import Candidate, report_comparison
from dialogue_predictor.compression.sequences import (
    SequenceOptions,
    read_sequences,
    shuffled,
    tokens_of,
    write_sequences,
)
from dialogue_predictor.compression.student import check_pair, inherit
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.training.data.examples import Example, draw_epoch
from dialogue_predictor.training.data.mixture import read_mixture
from dialogue_predictor.training.data.renumbering import renumber
from dialogue_predictor.training.finetune import validation_batches
from dialogue_predictor.training.loop import Outcome
from dialogue_predictor.training.observers import Lines, Observer
from dialogue_predictor.training.ranks import Alone, Ranks
from dialogue_predictor.training.run import begun, load_start, read_start, refuse_old
from dialogue_predictor.training.stage import (
    Material,
    StageOptions,
    aligning,
    begin,
    carry_out,
    dialogue_batches,
    material_of,
)

STAGE = "distil"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilOptions(StageOptions):
    """`model` has the fields in which the student differs from its teacher. `inherit`: begin with the teacher's tensors
    where shapes agree. `sequences`: a file of the teacher's own replies, which make up `sequences_share` of an epoch.
    `compared` examples are measured in the end.
    """

    weights: DistilWeights = field(default_factory=DistilWeights)
    inherit: bool = True
    copy: bool = True
    sequences: Path | None = None
    sequences_share: float = 0.5
    compared: int = 300

    def __post_init__(self) -> None:
        StageOptions.__post_init__(self)
        if not 0 <= self.sequences_share <= 1:
            raise ValueError(f"--sequences-share must lie in [0, 1], got {self.sequences_share}")


def distil(
    data: Path,
    out: Path,
    teacher: Path,
    options: DistilOptions,
    start: Path | None = None,
    resume: bool = False,
    ranks: Ranks | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Train a student in the folder `out`, from the weights of a run or bundle `start` where there is one.

    Raises FileExistsError on an old run, ValueError when student and teacher have different tokenizers or the file of
    sequences is of another one, ValueError and OSError as `train`.
    """
    refuse_old(out, resume)
    ranks, observer = ranks or Alone(), observer or Lines()
    begin(options)
    master, tokenizer = load_start(teacher)
    student = begin_student(master, options, start)
    if start is not None and tokens_of(read_start(start).tokenizer) != tokens_of(tokenizer):
        raise ValueError(
            f"--start {start} has another tokenizer than the teacher {teacher}: train it with the teacher's"
        )
    said = read_sequences(options.sequences, tokenizer) if options.sequences else []
    mixture = read_mixture(data, options.seed, options.simulated)
    config = student.config
    material = material_of(mixture, tokenizer, options, config)
    task = Distillation(student, Teacher(master), replace(options.weights, align=options.align_weight))
    pairs = aligning(data, tokenizer, options, observer)
    epoch = mixed(material, said, options)
    batches = dialogue_batches(epoch, options, config.decoder_start_id, pairs)
    held_out = validation_batches(material, options.batch_tokens, config)
    outcome = carry_out(data, out, STAGE, task, batches, held_out, options, config, tokenizer, ranks, observer)
    if ranks.is_first:
        before = Candidate("teacher", master)
        report_comparison(out, before, "student", material.validation[: options.compared], tokenizer, observer)
    return outcome


def begin_student(master: DialogueTransformer, options: DistilOptions, start: Path | None) -> DialogueTransformer:
    """A student that fits the teacher's tokens. Raises ValueError where it does not, or where flags contradict `start`."""
    if start is not None:
        source = read_start(start)
        for name, value in options.model.items():
            if (has := getattr(source.config, name)) != value:
                raise ValueError(f"{name} {value}: {start} has {has}; leave the flag out, or train without --start")
        config = replace(source.config, dropout=options.dropout, copy=options.copy)
        check_pair(config, master.config)
        return begun(config, source)
    config = student_config(master.config, options)
    check_pair(config, master.config)
    student = begun(config)
    if options.inherit:
        inherit(student, master)
    return student


def student_config(teacher: ModelConfig, options: DistilOptions) -> ModelConfig:
    changes = dict(options.model) | {"dropout": options.dropout, "copy": options.copy}
    if "d_model" in changes or "heads" in changes:
        changes.setdefault("head_size", None)
    return replace(teacher, **changes)


def mixed(
    material: Material, said: Sequence[Example], options: DistilOptions
) -> Callable[[random.Random], Sequence[Example]]:
    """Epochs of people's replies and the teacher's, the digits of both exchanged anew in each."""
    taught = round(options.epoch_examples * options.sequences_share) if said else 0
    people = material.epoch(options.epoch_examples - taught)

    def epoch(draw: random.Random) -> list[Example]:
        replies = draw_epoch({"taught": said}, {"taught": 1.0}, taught, draw)
        examples = [*people(draw), *renumber(replies, material.digits, draw)]
        draw.shuffle(examples)
        return examples

    return epoch


def write_teachers_sequences(
    data: Path, out: Path, teacher: Path, options: StageOptions, sequences: SequenceOptions, say: Callable[[str], None]
) -> int:
    """Let the teacher answer training sources into the file `out`; returns how many it answered now."""
    begin(options)
    master, tokenizer = load_start(teacher)
    material = material_of(read_mixture(data, options.seed, options.simulated), tokenizer, options, master.config)
    examples = material.epoch(sequences.examples)(random.Random(sequences.seed))
    chosen = shuffled(examples, sequences.examples, sequences.seed)
    return write_sequences(out, master, tokenizer, chosen, sequences, say)
