"""Flags that commands of training and compression share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


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
