"""From a verified bundle to an engine that can answer. Importing this imports torch."""

import torch

from dialogue_predictor.artifacts.bundle import Bundle
from dialogue_predictor.artifacts.weights import load_model
from dialogue_predictor.backends.base import Observer
from dialogue_predictor.backends.embedded import embedded
from dialogue_predictor.backends.engines.apart import apart
from dialogue_predictor.config.spec import ServingSpec
from dialogue_predictor.errors import BundleInvalid, LoadFailed
from dialogue_predictor.inference.cores import available_cores
from dialogue_predictor.inference.engine import DialogueEngine
from dialogue_predictor.text.tokenizer import Tokenizer


def load_engine(bundle: Bundle, spec: ServingSpec, observer: Observer, workers: int = 1) -> DialogueEngine:
    """Decodes with `workers` threads that share the cores. Raises BundleInvalid or LoadFailed."""
    return apart(lambda: _load(bundle, spec, observer, workers))


def _load(bundle: Bundle, spec: ServingSpec, observer: Observer, workers: int) -> DialogueEngine:
    try:
        load = Tokenizer.load if bundle.text is None else Tokenizer.load_any
        tokenizer = load(bundle.tokenizer_path)
    except ValueError as error:
        raise BundleInvalid(f"{bundle.tokenizer_path}: {error}") from error
    if tokenizer.vocab_size > bundle.architecture.vocab_size:
        raise BundleInvalid(
            f"{bundle.folder}: the tokenizer has {tokenizer.vocab_size} tokens, "
            f"the model only {bundle.architecture.vocab_size}"
        )
    torch.set_num_threads(max(1, available_cores() // workers))
    try:
        precision = spec.runtime.precision or bundle.quantisation.compute
        backend = embedded(load_model(bundle), precision=precision, workers=workers, observer=observer)
    except (RuntimeError, MemoryError, OSError) as error:
        raise LoadFailed(f"{bundle.folder}: {type(error).__name__}: {error}") from error
    positions = bundle.architecture.max_positions
    return DialogueEngine(backend, tokenizer, spec.dialogue.max_turns, positions, bundle.text)
