"""The recipe for intents: a linear head on the mean of the encoder's states names what a user's turn is about.

Learnt from Schema-Guided Dialogue's turns with what was said before them: "Yes, please." says nothing by itself. Training
dialogues are held out to validate on; the corpus's own validation part stays for evaluation.
"""

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.heads import ClassificationHead
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.model.vectors import mean_state
from dialogue_predictor.text.dialogue import Role, Turn
from dialogue_predictor.text.prompt import Parts, assemble_prompt
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.batches import OnDevice, masked_rows
from dialogue_predictor.training.data.corpora import read_corpora
from dialogue_predictor.training.data.dialogues import Dialogue
from dialogue_predictor.training.loop import Outcome
from dialogue_predictor.training.objectives import Loss, classification
from dialogue_predictor.training.observers import Lines, Observer
from dialogue_predictor.training.ranks import Alone, Ranks
from dialogue_predictor.training.run import begun, load_start, open_run, read_start, refuse_old
from dialogue_predictor.training.stage import StageOptions, begin, carry_out

STAGE = "classify"
HEAD = "head."
TURNS = 5
TOKENS = 96
HELD_OUT = 0.02
ROWS = 64
POOL = 16  # batches

Row = tuple[tuple[int, ...], int]  # source ids, class


@dataclass(frozen=True, slots=True)
class LabelledTurn:
    """A user's turn after those before it, and its intents as "Service/Intent"; `label` is the newest of them."""

    turns: tuple[Turn, ...]
    labels: frozenset[str]
    label: str

    @property
    def text(self) -> str:
        return "\n".join(turn.text for turn in self.turns)


def labelled_turns(dialogues: Iterable[Dialogue]) -> list[LabelledTurn]:
    """Every user's turn with an intent, with at most four turns before it."""
    found: list[LabelledTurn] = []
    for dialogue in dialogues:
        before: tuple[str, ...] = ()
        for index, turn in enumerate(dialogue.turns):
            if turn.role != "user":
                continue
            if turn.intents:
                history = dialogue.turns[max(0, index + 1 - TURNS) : index + 1]
                spoken = tuple(Turn(one.role, one.text) for one in history)
                new = [intent for intent in turn.intents if intent not in before]
                found.append(LabelledTurn(spoken, frozenset(turn.intents), (new or turn.intents)[-1]))
            before = turn.intents
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyOptions(StageOptions):
    """`labels`: the classes in their order, found in the data."""

    labels: tuple[str, ...] = ()

    def facts(self, config: ModelConfig) -> dict[str, object]:
        return super(ClassifyOptions, self).facts(config) | {"labels": list(self.labels)}


@dataclass(frozen=True, slots=True)
class LabelledBatch(OnDevice):
    """source [B, S] · source_mask [B, S] · labels [B], indices of classes. `units` counts rows."""

    source: Tensor
    source_mask: Tensor
    labels: Tensor
    units: int
    tokens: int

    def __len__(self) -> int:
        return len(self.source)

    def rows(self, chosen: slice) -> "LabelledBatch":
        mask, labels = self.source_mask[chosen], self.labels[chosen]
        return LabelledBatch(self.source[chosen], mask, labels, len(labels), int(mask.sum()))


class Classification(nn.Module):
    """Cross entropy of the head's classes. The decoder stays as it is."""

    def __init__(self, model: DialogueTransformer, classes: int) -> None:
        super().__init__()
        self.model = model
        self.head = ClassificationHead(model.config.d_model, classes)
        self.model.model.decoder.requires_grad_(False)

    def logits(self, source: Tensor, source_mask: Tensor) -> Tensor:
        """[B, S] → [B, C]."""
        vectors = mean_state(self.model.encode(source, source_mask), source_mask)
        result: Tensor = self.head(vectors)
        return result

    def forward(self, batch: LabelledBatch) -> Loss:
        return classification(self.logits(batch.source, batch.source_mask), batch.labels)


def classify(
    data: Path,
    out: Path,
    options: ClassifyOptions,
    start: Path,
    resume: bool = False,
    ranks: Ranks | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Train a classifier in the folder `out` on the encoder of a run or bundle `start`.

    Raises FileExistsError on an old run, ValueError when no turn under `data` has an intent, and as `train`.
    """
    refuse_old(out, resume)
    begin(options)
    source = read_start(start)
    dialogues = [one for one in read_corpora(data)["train"] if any(turn.intents for turn in one.turns)]
    random.Random(options.seed).shuffle(dialogues)
    held_out = max(1, round(HELD_OUT * len(dialogues)))
    learnt, validated = labelled_turns(dialogues[held_out:]), labelled_turns(dialogues[:held_out])
    options = replace(options, labels=tuple(sorted({turn.label for turn in learnt})))
    if len(options.labels) < 2:
        raise ValueError(f"{data} has no users' turns with two different intents to tell apart: sgd/train.jsonl.gz has")
    config = replace(source.config, dropout=options.dropout)
    place = {label: index for index, label in enumerate(options.labels)}

    encode = cache(source.tokenizer.encode)  # a turn is in the history of four others
    examples, held = (
        [(source_ids(turn.turns, encode, config), place[turn.label]) for turn in turns if turn.label in place]
        for turns in (learnt, validated)
    )

    validation = [collate(held[at : at + ROWS]) for at in range(0, len(held), ROWS)]
    task = Classification(begun(config, source), len(options.labels))
    return carry_out(
        data,
        out,
        STAGE,
        task,
        lambda skip: endless(examples, options.seed, skip),
        validation,
        options,
        config,
        source.tokenizer,
        ranks or Alone(),
        observer or Lines(),
    )


def endless(examples: Sequence[Row], seed: int, skip: int = 0) -> Iterator[LabelledBatch]:
    """Batches for ever, from the n-th on. Sixteen are drawn together, so that each has sources of like length."""
    number = skip
    while True:
        draw = random.Random(f"{seed}/{number // POOL}")
        pool = sorted(draw.sample(examples, min(POOL * ROWS, len(examples))), key=lambda row: len(row[0]))
        batches = [pool[at : at + ROWS] for at in range(0, len(pool), ROWS)]
        draw.shuffle(batches)
        for place in range(number % POOL, POOL):
            yield collate(batches[place % len(batches)])
            number += 1


def source_ids(turns: Sequence[Turn], encode: Callable[[str], Sequence[int]], config: ModelConfig) -> tuple[int, ...]:
    encoded: list[tuple[Role, Parts]] = [(turn.role, [encode(turn.text)]) for turn in turns]
    return assemble_prompt(encoded, TURNS, min(TOKENS, config.max_positions)).ids


def collate(rows: Sequence[Row]) -> LabelledBatch:
    source, mask = masked_rows([ids for ids, _ in rows])
    return LabelledBatch(source, mask, torch.tensor([label for _, label in rows]), len(rows), int(mask.sum()))


@dataclass(frozen=True)
class Classifier:
    """A trained classifier. `labels`: its classes in the order of its logits."""

    task: Classification
    tokenizer: Tokenizer
    labels: tuple[str, ...]

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(self.labels)

    @torch.inference_mode()
    def predict(self, dialogues: Sequence[Sequence[Turn]], among: Collection[str] | None = None) -> list[str]:
        """The likeliest class of the last turn of each dialogue, of all classes or of those `among`."""
        chosen = [index for index, label in enumerate(self.labels) if among is None or label in among]
        sources = [source_ids(turns, self.tokenizer.encode, self.task.model.config) for turns in dialogues]
        order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
        found: dict[int, str] = {}
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            logits = self.task.logits(*masked_rows([sources[index] for index in rows]))[:, chosen]  # [B, among]
            best = logits.argmax(dim=1).tolist()
            found |= {row: self.labels[chosen[column]] for row, column in zip(rows, best, strict=True)}
        return [found[index] for index in range(len(sources))]


def load_classifier(folder: Path) -> Classifier:
    """Of a run of `dialogue train classify`. Raises ValueError when the folder is no such run."""
    run = open_run(folder)
    heads: Mapping[str, Tensor] = run.heads
    if run.stage != STAGE or not heads:
        raise ValueError(
            f"{folder} is a run of {run.stage}, not a classifier: train one with `dialogue train classify`"
        )
    model, tokenizer = load_start(folder)
    labels = tuple(run.options["labels"])
    task = Classification(model, len(labels)).eval()
    task.head.load_state_dict({name.removeprefix(HEAD): value for name, value in heads.items()})
    return Classifier(task, tokenizer, labels)
