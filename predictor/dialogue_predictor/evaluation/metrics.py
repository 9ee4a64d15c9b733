"""What is measured, as functions of texts, ranks and counts. None of them knows a model.

Words are the unit of English, characters that of Chinese, which does not space its words.
"""

import math
import re
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import sacrebleu
from numpy.typing import NDArray

from dialogue_predictor.inference.quality import degenerate
from dialogue_predictor.inference.request import Reply
from dialogue_predictor.training.data.dialogues import Language

BLEU_TOKENIZERS: dict[Language, str] = {"en": "13a", "zh": "zh"}
NUMBER = re.compile(r"\d+(?:[.,:\-]\d+)*")

Similarities = NDArray[np.float32]


def perplexity(nll: float, tokens: int) -> float:
    """exp of the mean negative log-likelihood (in nats) a token; infinite where that is beyond a float."""
    try:
        return math.exp(nll / tokens)
    except OverflowError:
        return math.inf


def bleu(said: Sequence[str], people: Sequence[str], language: Language) -> float:
    """Corpus BLEU in 0..100 with sacrebleu's tokenizer for the language (Post 2018, arXiv:1804.08771)."""
    return float(sacrebleu.corpus_bleu(said, [people], tokenize=BLEU_TOKENIZERS[language]).score)


def chrf(said: Sequence[str], people: Sequence[str]) -> float:
    """Corpus chrF in 0..100: F of character 1- to 6-grams, recall counting double (Popović 2015, W15-3049)."""
    return float(sacrebleu.corpus_chrf(said, [people]).score)


def units(text: str, language: Language) -> list[str]:
    """Words in lower case, or characters without blanks."""
    return text.lower().split() if language == "en" else [char for char in text if not char.isspace()]


def distinct(texts: Iterable[str], n: int, language: Language) -> float:
    """The share of all n-grams that are different ones (Li et al. 2016, arXiv:1510.03055); 0 where there are none."""
    grams = [
        tuple(words[at : at + n])
        for words in (units(text, language) for text in texts)
        for at in range(len(words) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0


def degenerate_share(said: Sequence[tuple[str, bool]], asked: Sequence[str]) -> float:
    """The share of replies (text, whether it came to its end) that are wrong on their face, as serving counts them."""
    return share(bool(degenerate(as_reply(*one), question)) for one, question in zip(said, asked, strict=True))


def as_reply(text: str, complete: bool) -> Reply:
    return Reply(text, 0.0, 0, 0, 0, False, "stop" if complete else "length")


def numbers_known(said: Sequence[str], known: Sequence[str]) -> float:
    """Of the numbers in the replies (prices, times, telephones), the share that stands in what was known.

    1 where no reply has a number: then none is invented.
    """
    found = [
        number in numbers
        for text, context in zip(said, known, strict=True)
        for numbers in [set(NUMBER.findall(context))]
        for number in NUMBER.findall(text)
    ]
    return sum(found) / len(found) if found else 1.0


def share(flags: Iterable[bool]) -> float:
    """How many are true, in 0..1; 0 of nothing."""
    values = list(flags)
    return sum(values) / len(values) if values else 0.0


def ranks(similarities: Similarities, right: Sequence[int]) -> list[int]:
    """The rank of each query's right candidate in similarities [N, M], 1 at best; ties count against it."""
    at = np.arange(len(right))
    own = similarities[at, list(right)]
    return [int(count) for count in (similarities >= own[:, None]).sum(axis=1)]


def recall_at(ranked: Sequence[int], k: int) -> float:
    """The share of queries whose right candidate is among the first k."""
    return share(rank <= k for rank in ranked)


def nearest_accuracy(similarities: Similarities, right: Sequence[Collection[int]]) -> float:
    """How often the most similar of C candidates [N, C] is a right one; of equals each is chosen as often."""
    best = similarities == similarities.max(axis=1, keepdims=True)
    hits = [best[row, list(columns)].sum() / best[row].sum() for row, columns in enumerate(right)]
    return float(np.mean(hits)) if hits else 0.0


def micro_accuracy(predicted: Sequence[str], right: Sequence[Collection[str]]) -> float:
    """The share of predictions that are one of the right labels."""
    return share(label in labels for label, labels in zip(predicted, right, strict=True))


def macro_accuracy(predicted: Sequence[str], right: Sequence[Collection[str]]) -> float:
    """The mean over labels of the share of their turns that were labelled rightly: rare labels count like common ones."""
    by_label: dict[str, list[bool]] = {}
    for label, labels in zip(predicted, right, strict=True):
        for one in labels:
            by_label.setdefault(one, []).append(label in labels)
    return sum(map(share, by_label.values())) / len(by_label) if by_label else 0.0


def percentile(values: Sequence[float], percent: float) -> float:
    """Linear between the two nearest values."""
    return float(np.percentile(values, percent))
