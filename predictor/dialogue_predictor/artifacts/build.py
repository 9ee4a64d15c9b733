"""From a run's folder to a bundle: its weights in the precision asked for, its tokenizer, and a card."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dialogue_predictor.artifacts.bundle import CONFIG, TOKENIZER, WEIGHTS, Bundle
from dialogue_predictor.artifacts.card import card_of
from dialogue_predictor.artifacts.config import Compute, Quantisation, WeightFormat, read_values
from dialogue_predictor.artifacts.publish import write_bundle
from dialogue_predictor.artifacts.weights import save_weights
from dialogue_predictor.errors import BundleInvalid
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.transformer import filled
from dialogue_predictor.text.tokenizer import Tokenizer

RUN = "run.json"
REPORT = "report.json"


def build(
    run: Path,
    destination: Path,
    name: str,
    version: str,
    weights: WeightFormat = "fp16",
    compute: Compute = "fp32",
    card: str | None = None,
) -> Bundle:
    """Write the bundle of a finished run to the new folder `destination`. `card`: its text, where one is written already.

    Raises BundleInvalid naming the file of the run that is missing, malformed or does not fit the others.
    """
    for needed in (CONFIG, TOKENIZER, WEIGHTS):
        if not (run / needed).is_file():
            raise BundleInvalid(f"{run}: {needed} is missing; give the folder of a run that has ended")
    architecture = read_architecture(run / CONFIG)
    check_tokenizer(run / TOKENIZER, architecture)
    state = read_state(run / WEIGHTS, architecture)
    quantisation = Quantisation(weights, compute)
    if card is None:
        recorded, report = (read_values(path) if path.exists() else {} for path in (run / RUN, run / REPORT))
        parameters = sum(value.numel() for value in state.values())
        card = card_of(name, version, architecture, quantisation, parameters, recorded, report)

    def save(path: Path) -> None:
        try:
            save_weights(state, path, weights)
        except ValueError as error:
            raise BundleInvalid(f"{run / WEIGHTS}: {error}; choose other weights than {weights}") from error

    return write_bundle(destination, name, version, architecture, run / TOKENIZER, save, card, quantisation)


def read_architecture(path: Path) -> ModelConfig:
    try:
        return ModelConfig.from_dict(read_values(path))
    except (TypeError, ValueError) as error:
        raise BundleInvalid(f"{path}: {error}") from error


def check_tokenizer(path: Path, architecture: ModelConfig) -> None:
    try:
        size = Tokenizer.load(path).vocab_size
    except ValueError as error:
        raise BundleInvalid(f"{path}: {error}") from error
    if size > architecture.vocab_size:
        raise BundleInvalid(f"{path}: has {size} tokens, the model only {architecture.vocab_size}")


def read_state(path: Path, architecture: ModelConfig) -> dict[str, Tensor]:
    """The run's weights, which must be those of its architecture."""
    try:
        state = load_file(path)
        filled(architecture, dict(state))
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise BundleInvalid(f"{path}: {' '.join(str(error).split())}") from error
    return state
