"""What noise in the turn that is answered costs a reply, kind by kind and strength by strength."""

import random
from collections.abc import Iterator, Sequence

from dialogue_predictor.evaluation.cases import Case
from dialogue_predictor.evaluation.metrics import chrf
from dialogue_predictor.evaluation.noise import KINDS, STRENGTHS, Noise
from dialogue_predictor.evaluation.report import Figure
from dialogue_predictor.evaluation.setting import Setting

PART = "robustness"
CASES_SHARE = 4  # twelve kinds and strengths: each on a quarter of the cases


def robustness(setting: Setting) -> Iterator[Figure]:
    """chrF of the replies to harmed questions, beside the unharmed (strength 0). The people's replies stay the same."""
    for corpus in setting.corpora.names():
        cases = setting.cases(corpus)[: max(1, setting.most // CASES_SHARE)]
        people = [case.reply for case in cases]
        baseline = setting.baseline(corpus)
        for kind, noise in KINDS.items():
            for strength in (0.0, *STRENGTHS):
                asked = harmed(cases, noise, strength, f"{setting.seed}/{kind}/{strength}") if strength else cases
                answers = {
                    who: [one.text for one in answered]
                    for who, subject in setting.subjects.items()
                    for answered in [
                        subject.replies([case.turns for case in asked])
                        if strength
                        else setting.said(who, corpus)[: len(cases)]
                    ]
                }
                if baseline is not None:
                    answers["TF-IDF"] = baseline.replies(asked)
                for who, texts in answers.items():
                    yield Figure(PART, f"{corpus}, {kind}", "chrF", who, chrf(texts, people), len(cases), at=strength)


def harmed(cases: Sequence[Case], noise: Noise, strength: float, seed: str) -> list[Case]:
    draw = random.Random(seed)
    return [case.asking(noise(case.asked, strength, draw) or case.asked) for case in cases]
