"""How good a model is on dialogues it has not seen: perplexity a language, and replies to look at."""

import math
import random
from collections.abc import Sequence

import torch

from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.prompt import build_prompt
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


@torch.inference_mode()
def greedy_reply(model: DialogueTransformer, tokenizer: Tokenizer, turns: Sequence[Turn], limits: Limits) -> str:
    """The most likely next token, again and again: slow and plain, for looking at a model while it trains."""
    model.eval()
    source = torch.tensor([build_prompt(turns, tokenizer, limits.max_turns, limits.max_source_tokens).ids])
    mask = torch.ones_like(source, dtype=torch.bool)
    memory = model.encode(source, mask)
    target = [model.config.decoder_start_id]
    while len(target) <= limits.max_target_tokens:
        states = model.decode(torch.tensor([target]), memory, mask)
        token = int(model.project(states[0, -1]).argmax())
        if token == model.config.eos_id:
            break
        target.append(token)
    return tokenizer.decode(target[1:])
