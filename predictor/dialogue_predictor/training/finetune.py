"""The recipe for dialogue: history → reply, sequence to sequence, on the mixture of both languages.

A run lives in one folder: `tokenizer.json` and `run.json` once, `checkpoint/` every few minutes. Resuming takes the
tokenizer from there and goes on with the next batch; what decides the batches may not change in between.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.transformer import DialogueTransformer, build
from dialogue_predictor.text import special
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.batches import Batch, collate, endless
from dialogue_predictor.training.checkpoint import Progress, load_checkpoint
from dialogue_predictor.training.evaluate import perplexities
from dialogue_predictor.training.examples import Example, Limits, draw_epoch, encode_all
from dialogue_predictor.training.loop import (
    LoopOptions,
    Schedule,
    fresh_average,
    make_optimizer,
    train,
)
from dialogue_predictor.training.mixture import SHARES, Mixture, read_mixture
from dialogue_predictor.training.objectives import Loss, sequence_to_sequence
from dialogue_predictor.training.vocabulary import balanced_texts, train_tokenizer

CHECKPOINT = "checkpoint"
TOKENIZER = "tokenizer.json"
RUN = "run.json"
REPORT = "report.json"


def small_bilingual(vocab_size: int = 8192) -> ModelConfig:
    """7.4 M parameters, 15 MB in half precision: deep encoder, shallow decoder (arXiv:2006.10369)."""
    return ModelConfig(
        vocab_size=vocab_size,
        d_model=256,
        encoder_layers=4,
        decoder_layers=2,
        heads=4,
        ffn=1024,
        max_positions=128,
        pad_id=special.PAD_ID,
        bos_id=special.BOS_ID,
        eos_id=special.EOS_ID,
        decoder_start_id=special.BOS_ID,
        dropout=0.0,
    )


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """Sizes in tokens unless they say otherwise. `model.vocab_size` is what the tokenizer is trained for."""

    model: ModelConfig = field(default_factory=small_bilingual)
    schedule: Schedule = field(default_factory=lambda: Schedule(max_steps=20_000))
    loop: LoopOptions = field(default_factory=LoopOptions)
    limits: Limits = field(default_factory=Limits)
    batch_tokens: int = 8192
    epoch_examples: int = 160_000
    template_dialogues: int = 12_000
    smoothing: float = 0.1
    bag_weight: float = 1.0
    weight_decay: float = 0.01
    seed: int = 0
    threads: int = 2
    validation_examples: int = 500

    def facts(self) -> dict[str, Any]:
        """What decides the batches and the shapes, and so may not change when a run is resumed."""
        names = ("batch_tokens", "epoch_examples", "template_dialogues", "seed")
        return {name: getattr(self, name) for name in names} | {"model": self.model.to_dict()}


def finetune(
    data: Path, out: Path, options: FinetuneOptions, resume: bool = False, report: Callable[[str], None] = print
) -> dict[str, float]:
    """Train in the folder `out` and return the validation perplexities. Raises FileExistsError on an old run."""
    if not resume and (out / CHECKPOINT).exists():
        raise FileExistsError(f"{out} holds a run already: resume it or choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    mixture = read_mixture(data, options.seed, options.template_dialogues)
    tokenizer = tokenizer_of(mixture, out, options)
    options = replace(options, model=replace(options.model, vocab_size=tokenizer.vocab_size))
    model = initialise(build(options.model))
    optimizer = make_optimizer(model, options.weight_decay)
    average, progress = fresh_average(model), Progress()
    if resume and (out / CHECKPOINT).exists():
        progress, average = load_checkpoint(out / CHECKPOINT, model, optimizer, options.facts())
        report(f"resuming at step {progress.step}")
    batches = batches_of(mixture, tokenizer, options, progress.step)
    report(f"{sum(value.numel() for value in model.parameters()):,} parameters, {tokenizer.vocab_size} tokens")

    def objective(trained: DialogueTransformer, batch: Batch) -> Loss:
        return sequence_to_sequence(trained, batch, options.smoothing, options.bag_weight)

    progress = train(
        model,
        optimizer,
        average,
        batches,
        objective,
        options.schedule,
        options.loop,
        progress,
        (out / CHECKPOINT, options.facts()),
        report,
    )
    model.load_state_dict(average)
    measured = perplexities(model, mixture.validation, tokenizer, options.limits, options.validation_examples)
    write_report(out, progress, measured)
    report("validation perplexity: " + ", ".join(f"{name} {value:.2f}" for name, value in measured.items()))
    return measured


@torch.no_grad()
def initialise(model: DialogueTransformer) -> DialogueTransformer:
    """Larger first weights than mBART's 0.02, which is meant for four times the width: Glorot's for the projections.

    Embeddings begin with the deviation that their scale makes one, positions with a fifth of it.
    """
    width = model.config.d_model
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    model.model.shared.weight.normal_(std=width**-0.5)
    model.model.shared.weight[model.config.pad_id].zero_()
    for side in (model.model.encoder, model.model.decoder):
        side.embed_positions.weight.normal_(std=0.2)
    return model


def write_report(out: Path, progress: Progress, measured: dict[str, float]) -> None:
    record = {"step": progress.step, "seconds": round(progress.seconds), "perplexity": measured}
    (out / REPORT).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def tokenizer_of(mixture: Mixture, out: Path, options: FinetuneOptions) -> Tokenizer:
    """The run's tokenizer: the one in its folder, else one trained on the mixture and kept there."""
    path = out / TOKENIZER
    if not path.exists():
        tokenizer = train_tokenizer(balanced_texts(mixture.parts, options.seed), options.model.vocab_size)
        tokenizer.save(path)
        settings = asdict(options)
        settings["model"]["vocab_size"] = tokenizer.vocab_size
        (out / RUN).write_text(json.dumps(settings, indent=1, default=str) + "\n", encoding="utf-8")
    return Tokenizer.load(path)


def batches_of(mixture: Mixture, tokenizer: Tokenizer, options: FinetuneOptions, skip: int) -> Iterator[Batch]:
    draw = random.Random(options.seed)
    parts = {name: encode_all(part, tokenizer, options.limits, draw) for name, part in mixture.parts.items()}

    def epoch(draw: random.Random) -> list[Example]:
        return draw_epoch(parts, SHARES, options.epoch_examples, draw)

    for chosen in endless(epoch, options.batch_tokens, options.seed, skip):
        yield collate(chosen, options.model.decoder_start_id)
