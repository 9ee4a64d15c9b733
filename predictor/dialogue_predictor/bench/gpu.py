"""`python -m dialogue_predictor.bench.gpu`: the CUDA engine's turns, and whole replies beside Hugging Face in bf16.

Prints JSON; `{"absent": …}` on a machine without a GPU.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dialogue_predictor.backends.engines.cuda import cuda_engine
from dialogue_predictor.backends.engines.cuda_cost import turn_cost
from dialogue_predictor.bench.models import BASE
from dialogue_predictor.bench.work import Work
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.model.families.loading import load_hugging_face
from dialogue_predictor.model.transformer import DialogueTransformer

WORK, MANY = Work(batch=32), 256
OPTIONS = GenerationOptions(num_beams=WORK.beams, max_new_tokens=WORK.target, no_repeat_ngram=0)
DEVICE = "cuda"
RUNS = 5
WARM_UPS = 3


def seconds(run: Callable[[], object]) -> float:
    """The median of some runs after those that warm up, the device's work included."""
    taken = []
    for _ in range(WARM_UPS + RUNS):
        torch.cuda.synchronize()
        began = time.perf_counter()
        run()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[WARM_UPS:])


def our_seconds(model: DialogueTransformer) -> float:
    config, engine = model.config, cuda_engine(model)
    ids = TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id)
    sources = WORK.sources(BASE.vocabulary)
    return seconds(lambda: decode(engine, sources, OPTIONS, ids, torch.device(DEVICE)))


def hugging_face_seconds(folder: Path) -> float:
    from transformers import MarianMTModel

    model: Any = MarianMTModel.from_pretrained(folder, dtype=torch.bfloat16).eval().to(DEVICE)
    source = torch.tensor(WORK.sources(BASE.vocabulary), device=DEVICE)
    with torch.inference_mode():
        return seconds(
            lambda: model.generate(
                source,
                attention_mask=torch.ones_like(source),
                num_beams=WORK.beams,
                max_new_tokens=WORK.target,
                do_sample=False,
                length_penalty=1.0,
            )
        )


def measured(folder: Path) -> dict[str, Any]:
    """A value and what it is made of for each row."""
    model = load_hugging_face(folder)
    ours, theirs = our_seconds(model), hugging_face_seconds(folder)
    cost = turn_cost(model, OPTIONS, sources=WORK.batch, source_tokens=WORK.source)
    many = turn_cost(model, OPTIONS, sources=MANY, source_tokens=WORK.source)
    device = torch.cuda.get_device_name()
    step, eager = 1e6 * cost.graph_seconds, 1e6 * cost.eager_seconds
    return {
        "step": (step, f"{device}, bf16, a turn of the search"),
        "graph": (cost.graph_speedup, f"{step:,.0f} against {eager:,.0f} µs a turn"),
        "hugging_face": (theirs / ours, f"{1000 * ours:,.1f} against {1000 * theirs:,.1f} ms a batch, both bf16"),
        "bytes": (
            100 * many.roofline,
            f"{many.turn_bytes / 1e6:,.0f} MB a turn at {many.bytes_per_second / 1e12:.2f} TB/s, "
            f"{1e6 * many.graph_seconds:,.0f} µs",
        ),
    }


def main() -> int:
    reading = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reading.add_argument("--model", type=Path, required=True, help="the Hugging Face folder of the base model")
    asked = reading.parse_args()
    found = measured(asked.model) if torch.cuda.is_available() else {"absent": "no GPU here: not measured"}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
