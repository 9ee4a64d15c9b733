"""`dialogue train …`: offline work on corpora. Heavy imports wait inside the commands, so that --help is quick."""

from typing import Annotated

import typer

from dialogue_predictor.cli.flags import (
    Accumulate,
    AlignWeight,
    BatchTokens,
    CheckpointSeconds,
    ClipNorm,
    Data,
    DataParallelOption,
    Decay,
    DecayOption,
    DecoderLayers,
    Device,
    DModel,
    Dropout,
    EncoderLayers,
    ExamplesShare,
    Ffn,
    Heads,
    LearningRate,
    MaxPositions,
    Minutes,
    Out,
    Patience,
    Precision,
    PrecisionOption,
    Resume,
    Seed,
    SharedLayers,
    Simulated,
    Start,
    Steps,
    TensorParallel,
    Threads,
    ValidateSteps,
    Vocabulary,
    Warmup,
    WeightDecay,
)
from dialogue_predictor.cli.stages import ranks_on, several_ranks, stage_options, told
from dialogue_predictor.training.process import settle

app = typer.Typer(help="Train models on dialogues.", no_args_is_help=True)


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
    settle()
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
    settle()
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
