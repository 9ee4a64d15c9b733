"""What a corpus talks about: clusters of sentence vectors, each named by the words that set it apart.

Torch and scikit-learn are imported here and nowhere else in this package, when they are needed.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from dialogue_predictor.artifacts.bundle import Bundle
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.prompt import build_prompt
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.data.dialogues import Dialogue

SAMPLE, BATCH, LONGEST = 5_000, 64, 64  # dialogues, rows, tokens
MOST, LEAST_SIZE, NAMED_BY = 16, 8, 5  # clusters, dialogues a cluster on average, words
WORD = re.compile(r"(?=([\u4e00-\u9fff]{2}))|\b([^\W\d_\u4e00-\u9fff]{3,})")  # every two Han characters, or a word


@dataclass
class Sample:
    """What users say first, a fair sample of a stream (Vitter 1985)."""

    seed: int
    texts: list[str] = field(default_factory=list)
    seen: int = 0

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def add(self, dialogue: Dialogue) -> None:
        said = " ".join(turn.text for turn in dialogue.turns if turn.role == "user")[:400]
        if not said:
            return
        self.seen += 1
        if len(self.texts) < SAMPLE:
            self.texts.append(said)
        elif (at := self._draw.randrange(self.seen)) < SAMPLE:
            self.texts[at] = said


def topics(texts: Sequence[str], bundle: Bundle, seed: int) -> list[dict[str, object]]:
    """Clusters of the texts, the largest first: share of the texts, and the words that are frequent in it and rare elsewhere.

    Class-based TF-IDF (Grootendorst 2022, arXiv:2203.05794).
    """
    clusters = min(MOST, len(texts) // LEAST_SIZE)
    if clusters < 2:
        return []
    import numpy
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.feature_extraction.text import CountVectorizer

    labels = MiniBatchKMeans(clusters, random_state=seed, n_init=3, batch_size=1024).fit_predict(vectors(texts, bundle))
    together = [
        " ".join(text for text, label in zip(texts, labels, strict=True) if label == one) for one in range(clusters)
    ]
    counter = CountVectorizer(analyzer=words_of)
    counts = counter.fit_transform(together).toarray()  # [clusters, words]
    words = counter.get_feature_names_out()
    totals = counts.sum(axis=1, keepdims=True)
    weights = counts / totals.clip(min=1) * numpy.log(1 + totals.mean() / counts.sum(axis=0))
    sizes = Counter(labels.tolist())
    named = []
    for cluster, size in sizes.most_common():
        best = weights[cluster].argsort()[::-1][:NAMED_BY]
        named.append({"words": [str(words[at]) for at in best], "share": round(size / len(texts), 4)})
    return named


def words_of(text: str) -> list[str]:
    return [pair or word for pair, word in WORD.findall(text.lower())]


def vectors(texts: Sequence[str], bundle: Bundle) -> object:
    """Sentence vectors [N, D] of a bundle's encoder."""
    import torch

    from dialogue_predictor.artifacts.weights import load_model
    from dialogue_predictor.model.vectors import sentence_vectors

    tokenizer = Tokenizer.load(bundle.tokenizer_path)
    model = load_model(bundle).eval()
    longest = min(LONGEST, bundle.architecture.max_positions)
    sources = [build_prompt([Turn("user", text)], tokenizer, 1, longest).ids for text in texts]
    order = sorted(range(len(sources)), key=lambda at: len(sources[at]))
    found = torch.empty(len(sources), bundle.architecture.d_model)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            width = max(len(sources[at]) for at in rows)
            source = torch.tensor([[*sources[at], *[0] * (width - len(sources[at]))] for at in rows])
            mask = torch.tensor([[column < len(sources[at]) for column in range(width)] for at in rows])
            found[rows] = sentence_vectors(model, source, mask)
    return found.numpy()
