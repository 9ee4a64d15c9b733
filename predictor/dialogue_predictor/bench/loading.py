"""`python -m dialogue_predictor.bench.loading FOLDER`: how long a bundle of 60 M parameters takes from bytes to answers.

Verifying the digest, reading and checking weights, and building the engine count; importing libraries does not.
Prints JSON. The bundle is made first where the folder is not there: random weights, the default model's tokenizer.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from dialogue_predictor.artifacts.bundle import locate, open_bundle
from dialogue_predictor.artifacts.publish import write_bundle
from dialogue_predictor.artifacts.weights import save_weights
from dialogue_predictor.backends.base import Unobserved
from dialogue_predictor.bench.models import BASE
from dialogue_predictor.config.spec import ModelSource, ServingSpec
from dialogue_predictor.inference.loading import load_engine
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.transformer import build

ARCHITECTURE = ModelConfig(
    vocab_size=BASE.vocabulary,
    d_model=BASE.d_model,
    encoder_layers=BASE.encoder_layers,
    decoder_layers=BASE.decoder_layers,
    heads=BASE.heads,
    ffn=BASE.ffn,
)


def make(folder: Path) -> None:
    default = open_bundle(locate("builtin://default"))
    state = build(ARCHITECTURE).state_dict()
    write_bundle(
        folder,
        name="bench",
        version="1",
        architecture=ARCHITECTURE,
        tokenizer=default.tokenizer_path,
        save_weights=lambda path: save_weights(state, path),
        card="# Bench\n\nRandom weights.\n",
    )


def main() -> int:
    reading = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reading.add_argument("folder", type=Path, help="the bundle")
    asked = reading.parse_args()
    if not asked.folder.exists():
        make(asked.folder)
    spec = ServingSpec(model=ModelSource(uri=str(asked.folder)))
    began = time.perf_counter()
    load_engine(open_bundle(asked.folder), spec, Unobserved())
    print(json.dumps({"seconds": time.perf_counter() - began}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
