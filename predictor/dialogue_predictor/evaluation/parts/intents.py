"""What a user wants: found by the likeness of sentence vectors to descriptions, or named by a trained classifier."""

from collections.abc import Iterator

from dialogue_predictor.evaluation.baseline import TextIndex
from dialogue_predictor.evaluation.cases import sample
from dialogue_predictor.evaluation.metrics import macro_accuracy, micro_accuracy, nearest_accuracy
from dialogue_predictor.evaluation.report import MODEL, Figure
from dialogue_predictor.evaluation.setting import LeftOut, Setting
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.training.classify import labelled_turns, load_classifier
from dialogue_predictor.training.data.intents import Intent, intent_turns, seen_services, services

ZERO_SHOT = "zero-shot intents"
CLASSIFIER = "intent classifier"
MISSING = (
    "Schema-Guided Dialogue's services are not under {data}: expected sgd/train_services.json and sgd/dev_services.json"
)


def zero_shot(setting: Setting) -> Iterator[Figure]:
    """Turns in which an intent of a service begins that training has not, among all intents of all such services.

    A turn and a description are compared each by itself, as `<user> text </s>`; the baseline by TF-IDF over the
    descriptions' words. Of candidates that are equally near each counts as often.
    """
    seen, intents = known_services(setting)
    candidates = [intent for intent in intents if intent.service not in seen]
    place = {intent.label: index for index, intent in enumerate(candidates)}
    asked = [one for one in intent_turns(setting.corpora.data, "validation") if one[1] in place]
    asked = sample(asked, setting.most, setting.seed)
    if not asked:
        raise LeftOut(f"{setting.corpora.data} has no validation turns with intents of unseen services")
    texts, right = [text for text, _ in asked], [[place[label]] for _, label in asked]
    data = f"sgd, {len(candidates)} intents of {len({one.service for one in candidates})} unseen services"
    for who, subject in setting.subjects.items():
        turns = subject.vectors([[Turn("user", text)] for text in texts])
        described = subject.vectors([[Turn("user", intent.description)] for intent in candidates])
        yield Figure(
            ZERO_SHOT, data, "accuracy", who, 100 * nearest_accuracy(turns @ described.T, right), len(asked), "%"
        )
    words = TextIndex([intent.description for intent in candidates], "en").similarities(texts)
    yield Figure(ZERO_SHOT, data, "accuracy", "TF-IDF", 100 * nearest_accuracy(words, right), len(asked), "%")
    yield Figure(ZERO_SHOT, data, "accuracy", "chance", 100 / len(candidates), len(asked), "%")


def classified(setting: Setting) -> Iterator[Figure]:
    """A trained classifier on validation turns of services that training has.

    Among all intents it knows, where several services of training differ in nothing that a user says (two bus companies,
    say), and among the intents of the services at hand, as a server that has these services would ask. The baseline
    takes the intent of the training turn that is nearest by TF-IDF.
    """
    if setting.classifier is None:
        raise LeftOut("no classifier was given: train one with `dialogue train classify`, then name it by --classifier")
    classifier = load_classifier(setting.classifier)
    seen, _ = known_services(setting)
    asked = labelled_turns(setting.corpora.of("sgd", "validation"))
    asked = [turn for turn in asked if all(label.partition("/")[0] in seen for label in turn.labels)]
    asked = sample([turn for turn in asked if turn.labels & classifier.known], 4 * setting.most, setting.seed)
    if not asked:
        raise LeftOut(f"{setting.corpora.data} has no validation turns with intents of services that training has")
    dialogues, right = [turn.turns for turn in asked], [turn.labels for turn in asked]
    training = labelled_turns(setting.corpora.of("sgd", "train"))
    at_hand = frozenset[str]().union(*right)
    for name, among in (("all that training has", classifier.known), ("those of the services asked for", at_hand)):
        data = f"sgd, of {len(among)} intents, {name}"
        candidates = [turn for turn in training if turn.label in among]
        index = TextIndex([turn.text for turn in candidates], "en")
        nearest = [candidates[found].label for found in index.nearest([turn.text for turn in asked])]
        for who, predicted in ((MODEL, classifier.predict(dialogues, among)), ("TF-IDF", nearest)):
            for metric, accuracy in (("micro accuracy", micro_accuracy), ("macro accuracy", macro_accuracy)):
                yield Figure(CLASSIFIER, data, metric, who, 100 * accuracy(predicted, right), len(asked), "%")
        yield Figure(CLASSIFIER, data, "micro accuracy", "chance", 100 / len(among), len(asked), "%")


def known_services(setting: Setting) -> tuple[frozenset[str], list[Intent]]:
    """The services of training, and the intents of validation."""
    data = setting.corpora.data
    try:
        return seen_services(data), services(data, "validation")
    except FileNotFoundError:
        raise LeftOut(MISSING.format(data=data)) from None
