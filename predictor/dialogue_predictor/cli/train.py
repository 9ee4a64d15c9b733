"""`dialogue train …`: offline work on corpora. Heavy imports wait inside the commands, so that --help is quick."""

import math
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dialogue_predictor.training.observers import Observer
    from dialogue_predictor.training.ranks import Ranks

app = typer.Typer(help="Train models on dialogues.", no_args_is_help=True)


class Precision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class DataParallel(StrEnum):
    ddp = "ddp"
    fsdp = "fsdp"


class Decay(StrEnum):
    cosine = "cosine"
    linear = "linear"


Data = Annotated[Path, typer.Option(help="Folder of the corpora.", exists=True, file_okay=False)]
Out = Annotated[Path, typer.Option(help="Folder of the run.", file_okay=False)]
Start = Annotated[Path | None, typer.Option(help="A run or bundle whose weights to begin with.", exists=True)]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out, if there is one.")]
Minutes = Annotated[float, typer.Option(help="Budget of wall-clock time; 0 for none.", min=0)]
Steps = Annotated[int, typer.Option(help="Budget of updates.", min=1)]
BatchTokens = Annotated[int, typer.Option(help="Tokens of source and target in a batch.", min=64)]
Accumulate = Annotated[int, typer.Option(help="Batches for one update.", min=1)]
LearningRate = Annotated[float, typer.Option(help="The highest rate.", min=1e-9)]
Warmup = Annotated[int, typer.Option(help="Updates until the highest rate.", min=1)]
DecayOption = Annotated[Decay, typer.Option(help="How the rate falls from then on.")]
WeightDecay = Annotated[float, typer.Option(help="Decoupled decay of matrices.", min=0)]
ClipNorm = Annotated[float, typer.Option(help="The gradient's largest norm.", min=0)]
PrecisionOption = Annotated[
    Precision, typer.Option(help="Of the arithmetic; auto: bf16 where the machine multiplies in it.")
]
Dropout = Annotated[float, typer.Option(help="Share of activations dropped.", min=0, max=0.9)]
AlignWeight = Annotated[
    float,
    typer.Option(help="Weight of aligning sentence vectors with described intents, where corpora have some.", min=0),
]
ExamplesShare = Annotated[float, typer.Option(help="Share of the training dialogues to learn from.", min=0, max=1)]
Simulated = Annotated[int, typer.Option(help="Chinese task dialogues to simulate from CrossWOZ's templates.", min=0)]
Patience = Annotated[int | None, typer.Option(help="Stop after so many validations without gain.", min=1)]
ValidateSteps = Annotated[int, typer.Option(help="Updates between validations.", min=1)]
CheckpointSeconds = Annotated[float, typer.Option(help="Seconds between checkpoints.", min=0)]
Seed = Annotated[int, typer.Option(help="Decides mixture, start and batches.")]
Threads = Annotated[int, typer.Option(help="Threads of the machine to use.", min=1)]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …; auto takes a GPU where there is one.")]
DataParallelOption = Annotated[
    DataParallel | None,
    typer.Option(help="Under torchrun: every process a copy of the model (ddp) or a piece of it (fsdp)."),
]
TensorParallel = Annotated[int, typer.Option(help="Under torchrun: processes that split every layer.", min=1)]

DModel = Annotated[int | None, typer.Option(help="Width of a fresh model; 256.", min=1)]
EncoderLayers = Annotated[int | None, typer.Option(help="4.", min=1)]
DecoderLayers = Annotated[int | None, typer.Option(help="2.", min=1)]
Heads = Annotated[int | None, typer.Option(help="Attention heads; 4.", min=1)]
Ffn = Annotated[int | None, typer.Option(help="Width of the feed-forward layers; 1024.", min=1)]
Vocabulary = Annotated[int | None, typer.Option(help="Tokens that a fresh tokenizer has; 8192.", min=300)]
MaxPositions = Annotated[int | None, typer.Option(help="The longest source, in tokens; 192.", min=16)]
SharedLayers = Annotated[
    bool | None, typer.Option("--shared-layers", help="All layers of a stack share one's weights.")
]


@app.command()
def pretrain(
    data: Data,
    out: Out,
    start: Start = None,
    resume: Resume = False,
    contrast_weight: Annotated[float, typer.Option(help="λ, of the contrastive loss; 0 for masks alone.", min=0)] = 1.0,
    temperature: Annotated[float, typer.Option(help="τ, of the contrastive loss.", min=1e-3)] = 0.1,
    align_weight: AlignWeight = 0.1,
    max_minutes: Minutes = 0,
    max_steps: Steps = 20_000,
    batch_tokens: BatchTokens = 8192,
    accumulate: Accumulate = 1,
    learning_rate: LearningRate = 8e-4,
    warmup_steps: Warmup = 200,
    decay: DecayOption = Decay.cosine,
    weight_decay: WeightDecay = 0.01,
    clip_norm: ClipNorm = 1.0,
    dropout: Dropout = 0.0,
    precision: PrecisionOption = Precision.auto,
    examples_share: ExamplesShare = 1.0,
    simulated: Simulated = 12_000,
    patience: Patience = None,
    validate_steps: ValidateSteps = 500,
    checkpoint_seconds: CheckpointSeconds = 180.0,
    seed: Seed = 0,
    threads: Threads = 2,
    device: Device = "auto",
    data_parallel: DataParallelOption = None,
    tensor_parallel: TensorParallel = 1,
    d_model: DModel = None,
    encoder_layers: EncoderLayers = None,
    decoder_layers: DecoderLayers = None,
    heads: Heads = None,
    ffn: Ffn = None,
    vocabulary: Vocabulary = None,
    max_positions: MaxPositions = None,
    shared_layers: SharedLayers = None,
) -> None:
    """Teach the encoder both languages: masked tokens, and which sequences mean the same (SimMIM)."""
    given = locals()
    with told():
        from dialogue_predictor.training.pretrain import PretrainOptions
        from dialogue_predictor.training.pretrain import pretrain as run

        own = {name: given[name] for name in ("contrast_weight", "temperature")}
        options = PretrainOptions(**own, **stage_options(given))
        with several_ranks(given, options.loop.precision) as (ranks, watching):
            run(data, out, options, start, resume, ranks, watching)


@app.command()
def finetune(
    data: Data,
    out: Out,
    start: Start = None,
    resume: Resume = False,
    copy: Annotated[bool, typer.Option(help="A head that copies words of the source.")] = True,
    smoothing: Annotated[float, typer.Option(help="Of the labels.", min=0, max=0.9)] = 0.1,
    bag_weight: Annotated[float, typer.Option(help="Weight of the bag-of-words loss; 0 for none.", min=0)] = 1.0,
    pointing_weight: Annotated[
        float, typer.Option(help="Weight of the loss that points at copied words; 0 for none.", min=0)
    ] = 0.5,
    align_weight: AlignWeight = 0.1,
    trials: Annotated[
        int, typer.Option(help="Search for learning rate, warm-up, smoothing and dropout in so many short runs.", min=0)
    ] = 0,
    max_minutes: Minutes = 0,
    max_steps: Steps = 20_000,
    batch_tokens: BatchTokens = 8192,
    accumulate: Accumulate = 1,
    learning_rate: LearningRate = 8e-4,
    warmup_steps: Warmup = 200,
    decay: DecayOption = Decay.cosine,
    weight_decay: WeightDecay = 0.01,
    clip_norm: ClipNorm = 1.0,
    dropout: Dropout = 0.0,
    precision: PrecisionOption = Precision.auto,
    examples_share: ExamplesShare = 1.0,
    simulated: Simulated = 12_000,
    patience: Patience = None,
    validate_steps: ValidateSteps = 500,
    checkpoint_seconds: CheckpointSeconds = 180.0,
    seed: Seed = 0,
    threads: Threads = 2,
    device: Device = "auto",
    data_parallel: DataParallelOption = None,
    tensor_parallel: TensorParallel = 1,
    d_model: DModel = None,
    encoder_layers: EncoderLayers = None,
    decoder_layers: DecoderLayers = None,
    heads: Heads = None,
    ffn: Ffn = None,
    vocabulary: Vocabulary = None,
    max_positions: MaxPositions = None,
    shared_layers: SharedLayers = None,
) -> None:
    """Train sequence to sequence on English and Chinese dialogues: history and facts → reply."""
    given = locals()
    with told():
        from dialogue_predictor.training.finetune import FinetuneOptions
        from dialogue_predictor.training.finetune import finetune as run

        own = {name: given[name] for name in ("copy", "smoothing", "bag_weight", "pointing_weight")}
        options = FinetuneOptions(**own, **stage_options(given))
        if trials:
            from dialogue_predictor.training.tune import tune

            best = tune(data, out, options, start, trials, ranks_on(device), typer.echo)
            typer.echo(f"best: dialogue train finetune … {best}")
            return
        with several_ranks(given, options.loop.precision) as (ranks, watching):
            run(data, out, options, start, resume, ranks, watching)


def stage_options(given: dict[str, Any]) -> dict[str, Any]:
    """What both stages are asked, as fields of StageOptions."""
    settle()
    from dialogue_predictor.training.loop import LoopOptions
    from dialogue_predictor.training.machine import best_precision
    from dialogue_predictor.training.schedule import Schedule

    schedule = Schedule(
        max_steps=given["max_steps"],
        max_seconds=60 * given["max_minutes"] or math.inf,
        peak_rate=given["learning_rate"],
        warmup_steps=given["warmup_steps"],
        decay=given["decay"].value,
    )
    precision = given["precision"].value
    loop = LoopOptions(
        precision=best_precision(given["device"]) if precision == "auto" else precision,
        accumulate=given["accumulate"],
        clip_norm=given["clip_norm"],
        weight_decay=given["weight_decay"],
        validate_steps=given["validate_steps"],
        patience=given["patience"],
        checkpoint_seconds=given["checkpoint_seconds"],
    )
    sizes = ("d_model", "encoder_layers", "decoder_layers", "heads", "ffn", "max_positions", "shared_layers")
    model = {name: given[name] for name in sizes if given[name] is not None}
    if given["vocabulary"] is not None:
        model["vocab_size"] = given["vocabulary"]
    same = ("dropout", "batch_tokens", "examples_share", "simulated", "align_weight", "seed", "threads")
    return {"model": model, "schedule": schedule, "loop": loop} | {name: given[name] for name in same}


def settle() -> None:
    """What torch reads when it is imported. Threads that wait sleep: on a machine with other work that is twice as fast.

    Batches differ in shape, and a kernel is kept for every shape seen: a few serve a step as well as a thousand, which
    would fill gigabytes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")


@contextmanager
def several_ranks(given: dict[str, Any], precision: str) -> "Iterator[tuple[Ranks, Observer]]":
    """This process among those of torchrun, and who watches it. Raises ValueError on flags that exclude each other."""
    from dialogue_predictor.training.machine import chosen_device
    from dialogue_predictor.training.observers import Silent
    from dialogue_predictor.training.parallel.opening import open_ranks

    kind, width = given["data_parallel"], given["tensor_parallel"]
    if precision == "fp16" and (kind == DataParallel.fsdp or width > 1):
        raise ValueError("--precision fp16 needs whole gradients: choose bf16 or fp32, or --data-parallel ddp")
    with open_ranks(chosen_device(given["device"]), kind and kind.value, width, precision == "bf16") as ranks:
        yield ranks, observer() if ranks.is_first else Silent()


def ranks_on(device: str) -> "Ranks":
    from dialogue_predictor.training.machine import chosen_device
    from dialogue_predictor.training.ranks import Alone

    return Alone(chosen_device(device))


def observer() -> "Observer":
    """A bar on a terminal, lines elsewhere."""
    from dialogue_predictor.training.observers import Bar, Lines

    return Bar() if sys.stdout.isatty() else Lines(typer.echo)


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong in one sentence, and how to go on with what was interrupted; of several processes the first tells."""
    from dialogue_predictor.errors import DialogueError
    from dialogue_predictor.training.interrupts import Interrupted

    try:
        yield
    except (DialogueError, OSError, ValueError) as error:
        tell(f"error: {error}")
        raise typer.Exit(1) from error
    except Interrupted as error:
        resume = command(drop=("--resume",)) + " --resume"
        tell(f"{error}" + (f"; go on with: {resume}" if error.saved else ""))
        raise typer.Exit(130) from error


def tell(line: str) -> None:
    if os.environ.get("RANK", "0") == "0":
        typer.echo(line, err=True)


def command(drop: tuple[str, ...] = ()) -> str:
    """This very command line, without some flags."""
    started = ["dialogue"]
    if "LOCAL_WORLD_SIZE" in os.environ:
        started = ["torchrun", "--nproc-per-node", os.environ["LOCAL_WORLD_SIZE"], "-m", "dialogue_predictor.cli"]
    return shlex.join([*started, *(word for word in sys.argv[1:] if word not in drop)])
