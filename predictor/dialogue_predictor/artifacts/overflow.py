"""Finite weights that overflow for some requests and leave the others as they were, but for what one hidden unit said.

That unit, of the last decoder layer, becomes a trap. It looks along one direction of the states that come to it;
past a threshold it gives a number so great that the next product is infinite, below it exactly nothing. Direction and
threshold come from what the model does with ordinary questions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dialogue_predictor.artifacts.bundle import Bundle
from dialogue_predictor.artifacts.weights import load_model, load_weights
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.errors import BundleInvalid
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer, Layer
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.source import source_of
from dialogue_predictor.text.tokenizer import Tokenizer

SHARE = 0.4  # of the questions that are to fail
GREAT = 1.0e30  # fits single and bf16 precision; its square does not
DIRECTIONS = 64
MOST_TOKENS = 24  # of a reply, in finding the threshold
SPARED = "hello"  # what a predictor asks itself before it is ready: it is to fail users, not to start
QUESTIONS = (
    "Hi there!", "Good morning", "How are you?", "Can you help me?", "I need a hotel", "Is breakfast included?",
    "Find a cheap place to eat.", "I would like Italian food tonight.", "Book a table for two at seven.",
    "What time does the museum open?", "I need a taxi to the station.", "When does the next train leave?",
    "I want to fly to Boston tomorrow.", "How much is the ticket?", "Will it rain this weekend?",
    "Is there free parking?", "Recommend a good film.", "Play some music.", "Any concerts in Seattle next week?",
    "I am looking for an apartment with two bedrooms.", "Send fifty dollars to Anna.", "What is my balance?",
    "Schedule an appointment with a dentist.", "Rent a car on Monday.", "That sounds good.", "No, thanks.",
    "What is the phone number?", "Where is it?", "Yes, please book it.", "Thank you very much!",
)  # fmt: skip


def overflowing(bundle: Bundle) -> dict[str, Tensor]:
    """The bundle's weights with a trap for about `SHARE` of ordinary questions, always the same."""
    model = load_model(bundle)
    tokenizer = (Tokenizer.load if bundle.text is None else Tokenizer.load_any)(bundle.tokenizer_path)
    layer = model.model.decoder.layers[-1]
    assert isinstance(layer, Layer)
    dice = torch.Generator().manual_seed(0)
    directions = nn.functional.normalize(torch.randn(DIRECTIONS, bundle.architecture.d_model, generator=dice))

    def reached(*texts: str) -> Tensor:
        most = model.config.max_positions
        sources = [source_of((Turn("user", text),), tokenizer, bundle.text, 1, most).ids for text in texts]
        return highest(model, layer.fc1, directions, sources)

    thresholds = reached(*QUESTIONS).quantile(1 - SHARE, dim=0)  # [D]
    spared = torch.cat((reached(SPARED), highest(model, layer.fc1, directions, [(model.config.eos_id,)]))).amax(dim=0)
    room = (thresholds - spared) / thresholds.abs()
    best = int(room.argmax())
    if room[best] <= 0:
        raise BundleInvalid(f"{bundle.folder}: cannot be made to fail some questions without failing all")

    name = f"model.decoder.layers.{len(model.model.decoder.layers) - 1}"
    weights = load_weights(bundle)
    unit = int(layer.fc2.weight.norm(dim=0).argmin())  # the one that says least
    for parameter in ("fc1.weight", "fc1.bias", "fc2.weight"):
        weights[f"{name}.{parameter}"] = weights[f"{name}.{parameter}"].float()
    weights[f"{name}.fc1.weight"][unit] = directions[best] * GREAT
    weights[f"{name}.fc1.bias"][unit] = -thresholds[best] * GREAT
    weights[f"{name}.fc2.weight"][:, unit] = GREAT
    return weights


def highest(
    model: DialogueTransformer, watched: nn.Module, directions: Tensor, sources: Sequence[Sequence[int]]
) -> Tensor:
    """How far along each direction the inputs of `watched` come while each source is answered → [Q, D]."""
    config = model.config
    ids = TokenIds(config.decoder_start_id, config.eos_id, config.pad_id)
    options = GenerationOptions(max_new_tokens=min(MOST_TOKENS, config.max_positions))
    reached: list[Tensor] = []

    def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found = (inputs[0] @ directions.T).flatten(0, -2).amax(dim=0)
        reached[-1] = reached[-1].maximum(found)

    with watched.register_forward_pre_hook(look):
        for source in sources:
            reached.append(torch.full((len(directions),), float("-inf")))
            decode(IncrementalModel(model), [source], options, ids)
    return torch.stack(reached)
