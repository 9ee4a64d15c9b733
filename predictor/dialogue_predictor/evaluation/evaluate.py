"""A whole evaluation: the parts one after the other, and what they found as one report in three forms."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_predictor.evaluation.pages import html_page, markdown_page
from dialogue_predictor.evaluation.parts.intents import classified, zero_shot
from dialogue_predictor.evaluation.parts.likelihood import likelihood
from dialogue_predictor.evaluation.parts.off_topic import off_topic
from dialogue_predictor.evaluation.parts.precision import precision
from dialogue_predictor.evaluation.parts.replies import replies
from dialogue_predictor.evaluation.parts.retrieval import retrieval
from dialogue_predictor.evaluation.parts.robustness import robustness
from dialogue_predictor.evaluation.parts.speed import speed
from dialogue_predictor.evaluation.report import Figure, Report, save_report
from dialogue_predictor.evaluation.setting import LeftOut, Part, Setting

MARKDOWN = "report.md"
HTML = "report.html"

PARTS: Mapping[str, Part] = {
    "replies": replies,
    "perplexity": likelihood,
    "retrieval": retrieval,
    "zero-shot": zero_shot,
    "classifier": classified,
    "off-topic": off_topic,
    "robustness": robustness,
    "precision": precision,
    "speed": speed,
}


def check_parts(names: Sequence[str]) -> None:
    """Raises ValueError on a name that is no part's."""
    if unknown := [name for name in names if name not in PARTS]:
        raise ValueError(f"--only: there is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}")


def evaluate(
    setting: Setting,
    only: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Measure the parts of these names, all without any. What cannot be measured becomes a note.

    Raises ValueError on an unknown name, or where a part that was named cannot be measured.
    """
    check_parts(only)
    chosen = [name for name in PARTS if name in only] or list(PARTS)
    figures: list[Figure] = []
    notes: list[str] = []
    for number, name in enumerate(chosen, 1):
        began, data = clock(), None
        tell(f"{number}/{len(chosen)} {name}")
        try:
            for figure in PARTS[name](setting):
                if figure.data != data:
                    tell(f"    {figure.data}")
                    data = figure.data
                figures.append(figure)
        except LeftOut as reason:
            if name in only:
                raise ValueError(f"{name} cannot be measured: {reason}") from reason
            notes.append(f"{name} was left out: {reason}")
            tell(f"    left out: {reason}")
        tell(f"    {clock() - began:.1f} s")
    subjects = {who: subject.facts for who, subject in setting.subjects.items()}
    return Report(subjects, settings_of(setting), tuple(figures), tuple(notes))


def settings_of(setting: Setting) -> dict[str, Any]:
    corpora = setting.corpora
    cases = {name: len(setting.cases(name)) for name in corpora.names()}
    return {"seed": corpora.seed, "most": corpora.most, "facts": corpora.facts, "cases": cases}


def write_reports(report: Report, folder: Path) -> list[Path]:
    """`report.json`, `report.md` and `report.html`, in a folder that is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [save_report(report, folder)]
    for name, text in ((MARKDOWN, markdown_page(report)), (HTML, html_page(report))):
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written
