"""Whether a model says that it does not know: when asked what no task assistant knows, and not otherwise."""

from collections.abc import Iterator, Sequence

from dialogue_predictor.evaluation.baseline import NearestReply
from dialogue_predictor.evaluation.cases import Case, sample
from dialogue_predictor.evaluation.metrics import share
from dialogue_predictor.evaluation.report import Figure
from dialogue_predictor.evaluation.setting import Setting
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.training.data.dialogues import Language, Split
from dialogue_predictor.training.data.offtopic import DECLINES, is_decline, questions_of

PART = "off-topic"
LANGUAGES: tuple[Language, ...] = ("en", "zh")


def off_topic(setting: Setting) -> Iterator[Figure]:
    """Held-out questions as the first turn of a dialogue; the baseline may decline as well: it has the training ones.

    Validation dialogues of the corpora, where declining is wrong, give the false ones.
    """
    for language in LANGUAGES:
        asked = sample(questions(setting, "validation", language), setting.most, setting.seed)
        corpora = [name for name in setting.corpora.names() if setting.cases(name)[0].language == language]
        for who, subject in setting.subjects.items():
            said = [one.text for one in subject.replies([case.turns for case in asked])]
            yield Figure(PART, f"off-topic questions, {language}", "declined", who, declined(said), len(asked), "%")
            for corpus in corpora:
                texts = [one.text for one in setting.said(who, corpus)]
                yield Figure(PART, corpus, "declined falsely", who, declined(texts), len(texts), "%")
        training = [case for corpus in corpora for case in setting.corpora.training(corpus)]
        baseline = NearestReply([*training, *questions(setting, "train", language)], history=1)
        texts = baseline.replies(asked)
        yield Figure(PART, f"off-topic questions, {language}", "declined", "TF-IDF", declined(texts), len(texts), "%")
        for corpus in corpora:
            texts = baseline.replies(setting.cases(corpus))
            yield Figure(PART, corpus, "declined falsely", "TF-IDF", declined(texts), len(texts), "%")


def questions(setting: Setting, split: Split, language: Language) -> list[Case]:
    dialogues = [*setting.corpora.dialogues["train"], *setting.corpora.dialogues["validation"]]
    return [
        Case("off-topic", language, (Turn("user", text),), (), DECLINES[language][0])
        for spoken, text in questions_of(dialogues, split)
        if spoken == language
    ]


def declined(texts: Sequence[str]) -> float:
    return 100 * share(map(is_decline, texts))
