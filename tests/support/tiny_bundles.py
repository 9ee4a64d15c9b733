"""Tiny tokenizers, and bundles of random weights that take milliseconds to load."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dialogue_predictor.artifacts.bundle import Bundle
from dialogue_predictor.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from dialogue_predictor.model.transformer import DialogueTransformer

LINES = ("hello there, how are you today?", "a cheap hotel in the north, please", "便宜的酒店，谢谢", "bye 👋")
POSITIONS = 256


@cache
def tiny_tokenizer() -> Tokenizer:
    from dialogue_predictor.training.data.vocabulary import train_tokenizer

    return train_tokenizer(LINES, vocab_size=300)


def tiny_bundle(destination: Path, seed: int = 4, weights: "DialogueTransformer | None" = None) -> Bundle:
    """A bundle whose random model never finds an end, so that a long reply takes its time.

    `weights`: those of another model, for a bundle that does not fit together.
    """
    from dialogue_predictor.artifacts.publish import write_bundle
    from dialogue_predictor.artifacts.weights import save_weights
    from support.tiny_models import tiny_model

    tokenizer = tiny_tokenizer()
    tokenizer_path = destination.parent / f"{destination.name}-tokenizer.json"
    tokenizer.save(tokenizer_path)
    model = tiny_model(seed, vocab_size=tokenizer.vocab_size, max_positions=POSITIONS, eos_bias=-100.0)
    return write_bundle(
        destination,
        name="tiny",
        version=str(seed),
        architecture=model.config,
        tokenizer=tokenizer_path,
        save_weights=lambda path: save_weights((weights or model).state_dict(), path),
        card="# Tiny\n\nRandom weights.\n",
    )
