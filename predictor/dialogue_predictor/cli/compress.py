"""`dialogue compress …`: smaller and faster models of larger ones. Heavy imports wait inside the commands."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dialogue_predictor.cli.flags import (
    Accumulate,
    AlignWeight,
    BatchTokens,
    CheckpointSeconds,
    ClipNorm,
    Data,
    Decay,
    DecayOption,
    Device,
    Dropout,
    ExamplesShare,
    LearningRate,
    Minutes,
    Out,
    Patience,
    Precision,
    PrecisionOption,
    Resume,
    Seed,
    Simulated,
    Steps,
    Threads,
    ValidateSteps,
    Warmup,
    WeightDecay,
)
from dialogue_predictor.cli.stages import observer, ranks_on, stage_options, told
from dialogue_predictor.training.process import settle

app = typer.Typer(help="Make smaller and faster models of larger ones.", no_args_is_help=True)


class Compute(StrEnum):
    fp32 = "fp32"
    int8 = "int8"


class Scope(StrEnum):
    whole = "global"
    layer = "layer"


Source = Annotated[Path, typer.Option(help="The run or bundle to make smaller.", exists=True, file_okay=False)]
TeacherOption = Annotated[Path, typer.Option(help="The run or bundle to learn from.", exists=True, file_okay=False)]
SoftWeight = Annotated[float, typer.Option(help="Weight of the teacher's probabilities (KL divergence).", min=0)]
HardWeight = Annotated[float, typer.Option(help="Weight of the teacher's likeliest tokens.", min=0)]
TargetWeight = Annotated[float, typer.Option(help="Weight of the replies themselves.", min=0)]
Temperature = Annotated[float, typer.Option(help="At which probabilities are compared.", min=0.1)]
Smoothing = Annotated[float, typer.Option(help="Of the replies as labels.", min=0, max=0.9)]
BagWeight = Annotated[float, typer.Option(help="Weight of the bag-of-words loss; 0 for none.", min=0)]
PointingWeight = Annotated[
    float, typer.Option(help="Weight of the loss that points at copied words; 0 for none.", min=0)
]
Compared = Annotated[int, typer.Option(help="Validation examples to compare models on.", min=1)]
EncoderLayers = Annotated[int | None, typer.Option(help="As many as before.", min=1)]
DecoderLayers = Annotated[int | None, typer.Option(help="As many as before.", min=1)]
Heads = Annotated[int | None, typer.Option(help="Attention heads; as many as before.", min=1)]
Ffn = Annotated[int | None, typer.Option(help="Width of the feed-forward layers; as before.", min=1)]
SIZES: dict[str, Any] = dict.fromkeys(("vocabulary", "max_positions", "shared_layers"))


@app.command()
def distil(
    teacher: TeacherOption,
    data: Data,
    out: Out,
    start: Annotated[
        Path | None, typer.Option(help="A run or bundle that is the student's beginning.", exists=True)
    ] = None,
    resume: Resume = False,
    soft_weight: SoftWeight = 1.0,
    hard_weight: HardWeight = 0.0,
    target_weight: TargetWeight = 0.5,
    temperature: Temperature = 1.0,
    smoothing: Smoothing = 0.0,
    bag_weight: BagWeight = 0.5,
    pointing_weight: PointingWeight = 0.5,
    align_weight: AlignWeight = 0.1,
    sequences: Annotated[
        Path | None, typer.Option(help="The teacher's own replies, as `dialogue compress sequences` writes them.")
    ] = None,
    sequences_share: Annotated[float, typer.Option(help="Their share of what is learnt from.", min=0, max=1)] = 0.5,
    inherit: Annotated[bool, typer.Option(help="Begin with the teacher's tensors where shapes agree.")] = True,
    copy: Annotated[bool, typer.Option(help="A head that copies words of the source.")] = True,
    compared: Compared = 300,
    max_minutes: Minutes = 0,
    max_steps: Steps = 20_000,
    batch_tokens: BatchTokens = 8192,
    accumulate: Accumulate = 1,
    learning_rate: LearningRate = 1e-3,
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
    d_model: Annotated[int | None, typer.Option(help="The student's width; the teacher's.", min=1)] = None,
    encoder_layers: EncoderLayers = None,
    decoder_layers: DecoderLayers = None,
    heads: Heads = None,
    ffn: Ffn = None,
) -> None:
    """Teach a smaller student what a teacher would say."""
    given = locals()
    settle()
    with told():
        from dialogue_predictor.compression.distil import DistilOptions
        from dialogue_predictor.compression.distil import distil as run

        own = {name: given[name] for name in ("sequences", "sequences_share", "inherit", "copy", "compared")}
        options = DistilOptions(weights=distil_weights(given), **own, **stage_options(SIZES | given))
        run(data, out, teacher, options, start, resume, ranks_on(device), observer())


@app.command()
def sequences(
    teacher: TeacherOption,
    data: Data,
    out: Annotated[Path, typer.Option(help="The file to write; one that was begun goes on.", dir_okay=False)],
    examples: Annotated[int, typer.Option(help="Training sources to answer.", min=1)] = 40_000,
    num_beams: Annotated[int, typer.Option(help="Beams of the search; 1 is greedy.", min=1, max=16)] = 4,
    length_penalty: Annotated[float, typer.Option(help="Above 1 favours long replies.", min=0, max=2)] = 1.5,
    compute: Annotated[Compute, typer.Option(help="Number format of the search.")] = Compute.int8,
    examples_share: ExamplesShare = 1.0,
    simulated: Simulated = 12_000,
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Write down what a teacher replies to training sources, for `distil --sequences`."""
    with told():
        from dialogue_predictor.compression.distil import write_teachers_sequences
        from dialogue_predictor.compression.sequences import SequenceOptions
        from dialogue_predictor.training.stage import StageOptions

        asked = SequenceOptions(
            examples=examples, num_beams=num_beams, length_penalty=length_penalty, compute=compute.value, seed=seed
        )
        options = StageOptions(examples_share=examples_share, simulated=simulated, seed=seed, threads=threads)
        written = write_teachers_sequences(data, out, teacher, options, asked, typer.echo)
        typer.echo(f"{out}: {written:,} sources answered")


def distil_weights(given: dict[str, Any]) -> Any:
    from dialogue_predictor.compression.distillation import DistilWeights

    return DistilWeights(
        soft=given["soft_weight"],
        hard=given["hard_weight"],
        target=given["target_weight"],
        temperature=given["temperature"],
        smoothing=given["smoothing"],
        bag=given["bag_weight"],
        pointing=given["pointing_weight"],
    )


@app.command()
def prune(
    source: Source,
    data: Data,
    out: Out,
    resume: Resume = False,
    share: Annotated[
        float | None, typer.Option(help="Share of the single weights that become zero, the least ones.", min=0, max=1)
    ] = None,
    scope: Annotated[Scope, typer.Option(help="Where weights are compared: in the whole model, or in each layer.")] = (
        Scope.whole
    ),
    heads: Heads = None,
    ffn: Ffn = None,
    encoder_layers: EncoderLayers = None,
    decoder_layers: DecoderLayers = None,
    importance_batches: Annotated[int, typer.Option(help="Batches to measure importance on.", min=1)] = 32,
    soft_weight: SoftWeight = 1.0,
    hard_weight: HardWeight = 0.0,
    target_weight: TargetWeight = 0.5,
    temperature: Temperature = 1.0,
    smoothing: Smoothing = 0.0,
    bag_weight: BagWeight = 0.0,
    pointing_weight: PointingWeight = 0.0,
    align_weight: AlignWeight = 0.1,
    compared: Compared = 300,
    max_minutes: Minutes = 0,
    max_steps: Steps = 3_000,
    batch_tokens: BatchTokens = 8192,
    accumulate: Accumulate = 1,
    learning_rate: LearningRate = 3e-4,
    warmup_steps: Warmup = 100,
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
) -> None:
    """Take out what matters least, single weights or whole parts, and train what is left until it has recovered."""
    given = locals()
    settle()
    with told():
        from dialogue_predictor.compression.prune import PruneOptions
        from dialogue_predictor.compression.prune import prune as run

        own = {name: given[name] for name in ("share", "importance_batches", "compared")}
        shared = stage_options(SIZES | {"d_model": None} | given)
        options = PruneOptions(weights=distil_weights(given), scope=scope.value, **own, **shared)
        run(source, data, out, options, resume, ranks_on(device), observer())


@app.command()
def quantise(
    source: Source,
    data: Data,
    out: Out,
    compute: Annotated[
        Compute, typer.Option(help="What to compute in: int8 quantises what layers are given too, as it comes.")
    ] = Compute.int8,
    compared: Compared = 300,
    threads: Threads = 2,
) -> None:
    """Round every matrix to int8 with a scale for each output, and compare; then build a bundle with --weights int8."""
    with told():
        from dialogue_predictor.compression.quantise import QuantiseOptions, quantise_run

        options = QuantiseOptions(compute=compute.value, compared=compared, threads=threads)
        quantise_run(source, data, out, options, observer())
