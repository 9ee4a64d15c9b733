"""The card of a default bundle: what it is for, what it learnt from, how, and what was measured, none of it by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

from dialogue_predictor.artifacts.card import STORED
from dialogue_predictor.evaluation.pages import subjects_table, verdicts_table
from dialogue_predictor.evaluation.report import MODEL, load_report
from dialogue_predictor.evaluation.tables import markdown
from dialogue_predictor.recipe.chain import FIRST, SECOND, Step
from dialogue_predictor.training.data.corpora import SOURCES

LANGUAGES = {"en": "English", "zh": "Chinese"}

CARD = """# {name}

Version {version}. A small encoder-decoder Transformer for dialogue in English and Chinese: the history of a dialogue and
what is known go in, the assistant's next reply comes out. It exists so that a first `serve` answers sensibly on a laptop
within seconds.

## Use and limits

It was trained on task dialogues (restaurants, hotels, flights, films, sights). Each line of a system turn is a fact for it:
it takes names from there, but of the numbers it says (prices, times, telephone numbers) only about half stand in what it was
told; where it has no fact it may invent one or say that it does not know. Questions off its topics it should decline; a wish
for a recommendation in Chinese it may decline as well when it is told no facts. It is small: it can stray, and it can repeat
biases of its corpora. It reads up to {positions} tokens of history and facts, and was trained on replies of up to 48 tokens.

## Shape

{layers}, width {width}, {heads} heads, feed-forward {ffn}, a head that copies words of the source, vocabulary {vocabulary}
(byte-level BPE, digits apart); {parameters:,} parameters, stored in {stored}.

## Data

| corpus | languages | origin | licence |
| --- | --- | --- | --- |
{corpora}

More Chinese dialogues were simulated with CrossWOZ's templates and database; greetings, thanks and off-topic questions are
partly the project's own (Apache-2.0). As the Schema-Guided Dialogue data is CC BY-SA 4.0, so are these weights. Validation
dialogues were never trained on: the corpus's own development split for Schema-Guided Dialogue, one fifth of KdConv and
CrossWOZ by dialogue. Off-topic questions are measured on ones that were held out.

## Recipe

```
{commands}
```

{spent}

## Metrics

{subjects}

{verdicts}
"""


def card_of(name: str, version: str, run: Path, evaluation: Path, steps: Sequence[Step], data: Path, out: Path) -> str:
    """The card in Markdown. `run`: the quantised one; `evaluation`: the folder of its report."""
    report = load_report(evaluation)
    model = report.subjects[MODEL]
    shape = model["architecture"]
    corpora = [
        f"| {one.title} | {', '.join(LANGUAGES[language] for language in one.languages)} | {one.origin} | {one.licence} |"
        for one in SOURCES
    ]
    return CARD.format(
        name=name,
        version=version,
        positions=shape["max_positions"],
        layers=f"{shape['encoder_layers']} encoder and {shape['decoder_layers']} decoder layers",
        width=shape["d_model"],
        heads=shape["heads"],
        ffn=shape["ffn"],
        vocabulary=shape["vocab_size"],
        parameters=model["parameters"],
        stored=STORED["int8"],
        corpora="\n".join(corpora),
        commands="\n".join(commands(steps, version, data, out)),
        spent=spent(made(steps, version)),
        subjects=markdown(subjects_table(report)).replace(str(out), "OUT"),
        verdicts=markdown(verdicts_table(report)),
    )


def commands(steps: Sequence[Step], version: str, data: Path, out: Path) -> list[str]:
    """What was run up to this version, with DATA and OUT for folders."""
    lines = [f"dialogue {' '.join(step.words)}" for step in made(steps, version)]
    return [line.replace(str(data), "DATA").replace(str(out), "OUT") for line in lines]


def made(steps: Sequence[Step], version: str) -> list[Step]:
    """Those that lead to the version: nothing of the other one's, and no student on the way to the teacher."""
    other = {FIRST: f"int8-{SECOND}", SECOND: f"int8-{FIRST}"}[version]
    of_student = ("sequences", "distil") if version == SECOND else ()
    return [step for step in steps if other not in str(step.result) and step.words[1] not in of_student]


def spent(steps: Sequence[Step]) -> str:
    """How long each stage of training took, as its report says."""
    rows = []
    for step in steps:
        if step.result.suffix != ".json" or step.words[0] == "evaluate":
            continue
        report = json.loads(step.result.read_text(encoding="utf-8"))
        if "steps" in report:
            rows.append(f"| {step.words[1]} | {report['steps']:,} | {report['seconds'] / 60:.0f} |")
    return "\n".join(("| stage | updates | minutes |", "| --- | --- | --- |", *rows))
