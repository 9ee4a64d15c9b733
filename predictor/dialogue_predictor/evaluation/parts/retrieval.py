"""What sentence vectors find again: the same dialogue in other words, and what comes next.

Three searches among up to 500 dialogues of one corpus, each with one right answer:

- **misspelt**: a dialogue's first turns, a fifth of their characters mistyped, look for themselves;
- **halves**: a dialogue's first half looks for its second half, which shares its matter but no text;
- **reply**: a history looks for the reply that was given to it, among the replies to others.

The baseline is the cosine of TF-IDF vectors of the same texts; chance is k in the number of candidates.
"""

import random
from collections.abc import Iterable, Iterator, Sequence

from dialogue_predictor.evaluation.baseline import TextIndex
from dialogue_predictor.evaluation.cases import sample
from dialogue_predictor.evaluation.metrics import Similarities, ranks, recall_at
from dialogue_predictor.evaluation.noise import typos
from dialogue_predictor.evaluation.report import Figure
from dialogue_predictor.evaluation.setting import Setting
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.training.data.dialogues import Dialogue, Language

PART = "retrieval"
MOST = 500
FIRST_TURNS = 4
TYPOS = 0.2
RECALLS = (1, 5, 10)

Turns = Sequence[Turn]
Search = tuple[list[Turns], list[Turns]]  # queries and candidates, the right one at the query's place


def retrieval(setting: Setting) -> Iterator[Figure]:
    for corpus in setting.corpora.names():
        dialogues = sample(setting.corpora.of(corpus, "validation"), min(MOST, setting.most), setting.seed)
        for name, (queries, candidates) in searches(dialogues, setting.seed).items():
            if len(candidates) < 2:
                continue
            data = f"{corpus}, {name}"
            for who, subject in setting.subjects.items():
                similarities = subject.vectors(queries) @ subject.vectors(candidates).T
                yield from recalls(data, who, similarities)
            yield from recalls(data, "TF-IDF", by_words(queries, candidates, dialogues[0].language))
            for k in RECALLS:
                count = len(candidates)
                yield Figure(PART, data, f"recall@{k}", "chance", 100 * min(1.0, k / count), count, "%")


def recalls(data: str, who: str, similarities: Similarities) -> Iterator[Figure]:
    found = ranks(similarities, range(len(similarities)))
    for k in RECALLS:
        yield Figure(PART, data, f"recall@{k}", who, 100 * recall_at(found, k), len(found), "%")


def by_words(queries: Sequence[Turns], candidates: Sequence[Turns], language: Language) -> Similarities:
    index = TextIndex([joined(turns) for turns in candidates], language)
    return index.similarities([joined(turns) for turns in queries])


def joined(turns: Turns) -> str:
    return "\n".join(turn.text for turn in turns)


def searches(dialogues: Sequence[Dialogue], seed: int) -> dict[str, Search]:
    """The three searches; texts that occur twice are no candidates, as either would be right."""
    draw = random.Random(seed)
    spoken = [tuple(Turn(turn.role, turn.text) for turn in dialogue.turns if turn.text) for dialogue in dialogues]
    starts = [turns[:FIRST_TURNS] for turns in spoken if turns]
    misspelt = [tuple(Turn(turn.role, typos(turn.text, TYPOS, draw)) for turn in turns) for turns in starts]
    halves = [(turns[: len(turns) // 2], turns[len(turns) // 2 :]) for turns in spoken if len(turns) > 1]
    answered = [one for turns in spoken if (one := one_answer(turns, draw)) is not None]
    return {
        "misspelt": unambiguous(zip(misspelt, starts, strict=True)),
        "halves": unambiguous(halves),
        "reply": unambiguous(answered),
    }


def one_answer(turns: Turns, draw: random.Random) -> tuple[Turns, Turns] | None:
    """Some history of the dialogue and the reply to it."""
    places = [index for index, turn in enumerate(turns) if index and turn.role == "assistant"]
    if not places:
        return None
    index = draw.choice(places)
    return turns[:index], turns[index : index + 1]


def unambiguous(pairs: Iterable[tuple[Turns, Turns]]) -> Search:
    """Pairs as a search, the first of each candidate's text alone."""
    by_text = {joined(candidate): (query, candidate) for query, candidate in reversed(list(pairs))}
    kept = list(reversed(by_text.values()))
    return [query for query, _ in kept], [candidate for _, candidate in kept]
