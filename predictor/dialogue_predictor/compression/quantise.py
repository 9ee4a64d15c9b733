"""The recipe of quantisation: a run or bundle → a run whose weights are what int8 with a scale for each output can say.

A run keeps its weights in fp32; a bundle built of it with `--weights int8` stores the very codes that were measured here,
as rounding what is rounded changes nothing.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from dialogue_predictor.artifacts.config import Compute
from dialogue_predictor.artifacts.weights import is_quantised, quantise
from dialogue_predictor.compression.measure import Candidate, Comparison, report_comparison
from dialogue_predictor.model.transformer import DialogueTransformer, filled
from dialogue_predictor.training.data.corpora import read_corpora, sources_in
from dialogue_predictor.training.data.examples import Limits
from dialogue_predictor.training.observers import Lines, Observer
from dialogue_predictor.training.run import finish_run, load_start, refuse_old, start_run
from dialogue_predictor.training.stage import validation_sample

STAGE = "quantise"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseOptions:
    """`compute`: what the bundle is to recommend, int8 for dynamic quantisation of what the layers are given, too."""

    compute: Compute = "int8"
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    compared: int = 300
    threads: int = 2


def quantise_run(
    source: Path, data: Path, out: Path, options: QuantiseOptions, observer: Observer | None = None
) -> Comparison:
    """Write the run `out`. Raises FileExistsError on an old run, FileNotFoundError where no corpus is under `data`."""
    refuse_old(out, resume=False)
    observer = observer or Lines()
    torch.set_num_threads(options.threads)
    model, tokenizer = load_start(source)
    spoken = [one for one in read_corpora(data)["validation"] if one.corpus != "smalltalk"]
    limits = options.limits.within(model.config.max_positions)
    sample = validation_sample(spoken, tokenizer, limits, options.compared)
    if not sample:
        raise ValueError(f"{data} has no validation dialogue with a reply to compare models on")
    quantisation = {"weights": "int8", "compute": options.compute}
    start_run(
        out,
        STAGE,
        asdict(options) | {"source": str(source), "quantisation": quantisation},
        model.config,
        tokenizer,
        sources_in(data),
    )
    rounded = quantised(model)
    parameters = sum(value.numel() for value in rounded.parameters())
    report = {"stage": STAGE, "parameters": parameters, "quantisation": quantisation}
    finish_run(out, rounded.state_dict(), report)
    return report_comparison(
        out, Candidate("before", model), "int8", sample, tokenizer, observer, weights="int8", compute=options.compute
    )


@torch.no_grad()
def quantised(model: DialogueTransformer) -> DialogueTransformer:
    """The same model with every matrix rounded to int8 and back."""
    state = {}
    for name, value in model.state_dict().items():
        if is_quantised(name, value):
            codes, scale = quantise(value.float())
            state[name] = codes.float() * scale
        else:
            state[name] = value.clone()
    return filled(model.config, state)
