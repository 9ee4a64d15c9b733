"""Train the tokenizer: byte-level BPE over both languages, digits apart.

Merges are counted, so the text is balanced first: without that, the larger language takes the vocabulary. Digits stay
single because prices, times and phone numbers are copied, not learned.
"""

import random
from collections.abc import Iterable, Mapping, Sequence

from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as BPETokenizer

from dialogue_predictor.text.special import SPECIAL_TOKENS
from dialogue_predictor.text.tokenizer import Tokenizer, check_special_tokens
from dialogue_predictor.training.data.dialogues import Dialogue

CHARACTERS_PER_LANGUAGE = {"en": 4_000_000, "zh": 1_600_000}  # about the same number of tokens


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A tokenizer with exactly `vocab_size` ids where the texts allow as many merges."""
    bpe = BPETokenizer(models.BPE(unk_token=None))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = Tokenizer(bpe)
    check_special_tokens(tokenizer)
    return tokenizer


def balanced_texts(parts: Mapping[str, Sequence[Dialogue]], seed: int) -> list[str]:
    """Texts of the training dialogues and each one's facts once, each language up to its number of characters."""
    draw = random.Random(seed)
    texts: list[str] = []
    for language, characters in CHARACTERS_PER_LANGUAGE.items():
        dialogues = [one for part in parts.values() for one in part if one.language == language]
        draw.shuffle(dialogues)
        for dialogue in dialogues:
            if characters <= 0:
                break
            said = [turn.text for turn in dialogue.turns]
            said += dict.fromkeys(fact for turn in dialogue.turns for fact in turn.facts)
            texts += said
            characters -= sum(map(len, said))
    return texts
