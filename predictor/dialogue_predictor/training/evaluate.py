"""How good a model is on dialogues it has not seen: perplexity by corpus and language."""

import math
import random
from collections.abc import Sequence

import torch

from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.batches import bucketed, collate
from dialogue_predictor.training.data.dialogues import Dialogue
from dialogue_predictor.training.data.examples import Example, Limits, encode_all
from dialogue_predictor.training.objectives import sequence_to_sequence

BATCH_TOKENS = 8192


@torch.inference_mode()
def perplexity(model: DialogueTransformer, examples: Sequence[Example]) -> float:
    """exp of the mean negative log-likelihood a target token, in fp32, without smoothing or dropout."""
    model.eval()
    nll, tokens = torch.zeros((), dtype=torch.float64), 0
    for chosen in bucketed(examples, BATCH_TOKENS, random.Random(0)):
        loss = sequence_to_sequence(model, collate(chosen, model.config.decoder_start_id))
        nll, tokens = nll + loss.nll, tokens + int(loss.tokens)
    return math.exp(nll / tokens)


def perplexities(
    model: DialogueTransformer,
    dialogues: Sequence[Dialogue],
    tokenizer: Tokenizer,
    limits: Limits,
    most: int,
    seed: int = 0,
) -> dict[str, float]:
    """Perplexity by corpus and by language (`en`, `zh`), over at most `most` examples of each."""
    by_name: dict[str, list[Dialogue]] = {}
    for dialogue in dialogues:
        by_name.setdefault(dialogue.language, []).append(dialogue)
        by_name.setdefault(dialogue.corpus, []).append(dialogue)
    result: dict[str, float] = {}
    for name in sorted(by_name):
        examples = encode_all(by_name[name], tokenizer, limits)
        chosen = random.Random(seed).sample(examples, min(most, len(examples)))
        result[name] = perplexity(model, chosen)
    return result
