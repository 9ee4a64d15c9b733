"""What the stages of training share: options, corpora as examples, a model to begin with, a folder to end in."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.text import special
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.batches import Batch, Pairs, collate, endless
from dialogue_predictor.training.data.corpora import sources_in
from dialogue_predictor.training.data.dialogues import Dialogue
from dialogue_predictor.training.data.examples import Example, Limits, draw_epoch, encode_all
from dialogue_predictor.training.data.mixture import SHARES, Mixture
from dialogue_predictor.training.data.renumbering import digits_of, renumber
from dialogue_predictor.training.data.vocabulary import balanced_texts, train_tokenizer
from dialogue_predictor.training.loop import LoopOptions, Outcome, train
from dialogue_predictor.training.observers import Observer, Several, Silent, TensorBoard
from dialogue_predictor.training.pairs import endless_pairs, intent_pairs
from dialogue_predictor.training.ranks import BatchT, Ranks
from dialogue_predictor.training.run import CHECKPOINT, TENSORBOARD, TOKENIZER, Start, finish_run, start_run
from dialogue_predictor.training.schedule import Schedule
from dialogue_predictor.training.tasks import head_weights, model_weights

FLAGS = {"vocab_size": "--vocabulary", "positions": "--position-kind"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOptions:
    """Sizes in tokens unless they say otherwise; `simulated` counts dialogues.

    `model` has the fields in which a fresh model differs from `small_bilingual`; its `vocab_size` is what the tokenizer
    is trained for. `examples_share` of the training dialogues are learnt from, of every corpus as many.
    """

    model: Mapping[str, Any] = field(default_factory=dict)
    dropout: float = 0.0
    schedule: Schedule = field(default_factory=lambda: Schedule(max_steps=20_000))
    loop: LoopOptions = field(default_factory=LoopOptions)
    limits: Limits = field(default_factory=Limits)
    batch_tokens: int = 8192
    epoch_examples: int = 160_000
    simulated: int = 12_000
    examples_share: float = 1.0
    align_weight: float = 0.1
    align_rows: int = 32
    validation_examples: int = 400
    seed: int = 0
    threads: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.examples_share <= 1:
            raise ValueError(f"--examples-share must lie in (0, 1], got {self.examples_share}")

    def facts(self, config: ModelConfig) -> dict[str, Any]:
        """What decides the batches and the shapes, and so may not change when a run is resumed."""
        names = ("batch_tokens", "epoch_examples", "simulated", "examples_share", "align_rows", "seed")
        own = {name: getattr(self, name) for name in names}
        return own | {"accumulate": self.loop.accumulate, "model": config.to_dict()}


def small_bilingual(vocab_size: int = 8192) -> ModelConfig:
    """7.6 M parameters: deep encoder, shallow decoder (arXiv:2006.10369)."""
    return ModelConfig(
        vocab_size=vocab_size,
        d_model=256,
        encoder_layers=4,
        decoder_layers=2,
        heads=4,
        ffn=1024,
        max_positions=192,
        pad_id=special.PAD_ID,
        bos_id=special.BOS_ID,
        eos_id=special.EOS_ID,
        decoder_start_id=special.BOS_ID,
        dropout=0.0,
    )


def config_for(options: StageOptions, vocabulary: int, copy: bool, start: Start | None) -> ModelConfig:
    """The shape to train: a fresh one, or the start's, which only dropout and the copy head may differ from.

    Raises ValueError that names the flag which says otherwise.
    """
    if start is None:
        sizes = dict(options.model) | {"vocab_size": vocabulary, "dropout": options.dropout, "copy": copy}
        return replace(small_bilingual(), **sizes)
    for name, value in options.model.items():
        if (has := getattr(start.config, name)) != value:
            flag = FLAGS.get(name, f"--{name.replace('_', '-')}")
            raise ValueError(
                f"{flag} {value}: {start.path} has {name}={has}; leave the flag out, or train without --start"
            )
    return replace(start.config, dropout=options.dropout, copy=copy)


def begin(options: StageOptions) -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)


def tokenizer_for(out: Path, mixture: Mixture, options: StageOptions, start: Start | None) -> Tokenizer:
    """That of the run in the folder, of the start, or one trained on the mixture."""
    if (out / CHECKPOINT).exists():
        return Tokenizer.load(out / TOKENIZER)
    if start is not None:
        return start.tokenizer
    wanted = options.model.get("vocab_size", small_bilingual().vocab_size)
    return train_tokenizer(balanced_texts(mixture.parts, options.seed), wanted)


@dataclass(frozen=True, slots=True)
class Material:
    """Examples to learn from, by the name of their share of an epoch, and a fixed sample to validate on.

    `digits`: the ids to exchange in some of the former.
    """

    parts: Mapping[str, Sequence[Example]]
    validation: Sequence[Example]
    digits: Sequence[int] = ()

    def epoch(self, size: int) -> Callable[[random.Random], Sequence[Example]]:
        return lambda draw: renumber(draw_epoch(self.parts, SHARES, size, draw), self.digits, draw)


def material_of(mixture: Mixture, tokenizer: Tokenizer, options: StageOptions, config: ModelConfig) -> Material:
    """Sources and targets within the model's positions."""
    limits = options.limits.within(config.max_positions)
    draw = random.Random(options.seed)
    parts = {
        name: encode_all(share_of(part, options.examples_share, draw), tokenizer, limits, draw)
        for name, part in mixture.parts.items()
    }
    if not any(parts.values()):
        raise ValueError("the corpora have no reply to learn from: every dialogue needs a user's turn and an answer")
    sample = validation_sample(mixture.validation, tokenizer, limits, options.validation_examples)
    return Material(parts, sample, digits_of(tokenizer.encode))


def share_of(part: Sequence[Dialogue], share: float, draw: random.Random) -> Sequence[Dialogue]:
    return part if share == 1 else draw.sample(list(part), max(1, round(share * len(part))))


def validation_sample(dialogues: Sequence[Dialogue], tokenizer: Tokenizer, limits: Limits, size: int) -> list[Example]:
    """About `size` examples, the same whatever the seed, of every corpus as many."""
    by_corpus: dict[str, list[Dialogue]] = {}
    for dialogue in dialogues:
        by_corpus.setdefault(dialogue.corpus, []).append(dialogue)
    sample: list[Example] = []
    for corpus in sorted(by_corpus):
        wanted = len(sample) + -(-size // len(by_corpus))
        random.Random(0).shuffle(by_corpus[corpus])
        for dialogue in by_corpus[corpus]:
            if len(sample) >= wanted:
                break
            sample += encode_all([dialogue], tokenizer, limits)[: wanted - len(sample)]
    return sample


def aligning(
    data: Path, tokenizer: Tokenizer, options: StageOptions, observer: Observer
) -> Callable[[int], Iterator[Pairs | None]]:
    """The pairs that go with the batches from the n-th on; none where no weight or no described intent is."""
    pairs = intent_pairs(data, tokenizer) if options.align_weight else []
    if options.align_weight and not pairs:
        observer.say(f"{data} describes no intents: sentence vectors are not aligned with any")

    def batches(skip: int) -> Iterator[Pairs | None]:
        if pairs:
            yield from endless_pairs(pairs, options.align_rows, options.seed, skip)
        while True:
            yield None

    return batches


def dialogue_batches(
    epoch: Callable[[random.Random], Sequence[Example]],
    options: StageOptions,
    decoder_start_id: int,
    pairs: Callable[[int], Iterator[Pairs | None]],
) -> Callable[[int], Iterator[Batch]]:
    """Batches of sources and targets from the n-th on, each with its pairs."""

    def batches(skip: int) -> Iterator[Batch]:
        lists = endless(epoch, options.batch_tokens, options.seed, skip)
        for chosen, beside in zip(lists, pairs(skip), strict=False):
            yield collate(chosen, decoder_start_id, beside)

    return batches


def carry_out(
    data: Path,
    out: Path,
    stage: str,
    task: nn.Module,
    batches: Callable[[int], Iterator[BatchT]],
    validation: Sequence[BatchT],
    options: StageOptions,
    config: ModelConfig,
    tokenizer: Tokenizer,
    ranks: Ranks,
    observer: Observer,
) -> Outcome:
    """Train a task in the folder `out` and leave it a finished run. Raises as `train`."""
    if ranks.is_first:
        start_run(out, stage, asdict(options), config, tokenizer, sources_in(data))
        observer = Several(observer, TensorBoard(out / TENSORBOARD))
    else:
        observer = Silent()
    parameters = sum(value.numel() for value in task.parameters())
    observer.say(
        f"{parameters:,} parameters, {tokenizer.vocab_size} tokens, {options.loop.precision} on {ranks.device}"
    )
    try:
        outcome = train(
            task,
            batches,
            options.schedule,
            replace(options.loop, seed=options.seed),
            validation=validation,
            checkpoint=(out / CHECKPOINT, {"stage": stage} | options.facts(config)),
            ranks=ranks,
            observer=observer,
        )
    finally:
        observer.close()
    if ranks.is_first:
        report = {"stage": stage, "parameters": parameters} | outcome.report
        finish_run(out, model_weights(outcome.weights), report, head_weights(outcome.weights))
    return outcome
