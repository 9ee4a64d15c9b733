"""Replies beside those that people gave, and beside those of the nearest neighbour."""

from collections.abc import Iterator, Sequence

from dialogue_predictor.evaluation.cases import Case
from dialogue_predictor.evaluation.metrics import bleu, chrf, degenerate_share, distinct, numbers_known
from dialogue_predictor.evaluation.report import Figure
from dialogue_predictor.evaluation.setting import Setting

PART = "replies"
BASELINE = "TF-IDF"
BASELINE_WITH_FACTS = "TF-IDF with facts"
PEOPLE = "people"


def replies(setting: Setting) -> Iterator[Figure]:
    for corpus in setting.corpora.names():
        cases = setting.cases(corpus)
        for who in setting.subjects:
            said = setting.said(who, corpus)
            yield from judged(corpus, who, cases, [(one.text, one.complete) for one in said])
        for who, facts in ((BASELINE, False), (BASELINE_WITH_FACTS, True)):
            if facts and not any(case.facts for case in cases):
                continue
            baseline = setting.baseline(corpus, facts)
            if baseline is not None:
                yield from judged(corpus, who, cases, [(text, True) for text in baseline.replies(cases)])
        yield from variety(corpus, PEOPLE, cases, [(case.reply, True) for case in cases])


def judged(corpus: str, who: str, cases: Sequence[Case], said: Sequence[tuple[str, bool]]) -> Iterator[Figure]:
    texts, people = [text for text, _ in said], [case.reply for case in cases]
    yield Figure(PART, corpus, "BLEU", who, bleu(texts, people, cases[0].language), len(cases))
    yield Figure(PART, corpus, "chrF", who, chrf(texts, people), len(cases))
    yield from variety(corpus, who, cases, said)


def variety(corpus: str, who: str, cases: Sequence[Case], said: Sequence[tuple[str, bool]]) -> Iterator[Figure]:
    """What can be said of replies without right ones to compare them with."""
    texts, language = [text for text, _ in said], cases[0].language
    known = ["\n".join(turn.text for turn in case.turns) for case in cases]
    shares = {
        "distinct-1": distinct(texts, 1, language),
        "distinct-2": distinct(texts, 2, language),
        "degenerate": degenerate_share(said, [case.asked for case in cases]),
        "numbers from the context": numbers_known(texts, known),
    }
    for metric, value in shares.items():
        yield Figure(PART, corpus, metric, who, 100 * value, len(cases), "%")
