"""Several reports side by side: what each ingredient of a recipe is worth."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from dialogue_predictor.evaluation.report import MODEL, REPORT, Report, load_report, unique
from dialogue_predictor.evaluation.tables import MISSING, Table, markdown, number, titled

INSIDE = "evaluation"  # where a run keeps its report, beside the one of its training
HEADLINES = frozenset(
    {"BLEU", "chrF", "perplexity", "recall@1", "recall@10", "accuracy", "micro accuracy", "declined", "declined falsely",
     "degenerate"}
)  # fmt: skip


def ablation(folders: Sequence[Path], every: bool = False) -> str:
    """A Markdown table: a row for each figure of the models, a column for each report, by their folders' names.

    Only headline figures without noise, unless `every` is wanted. Raises FileNotFoundError or ValueError on a folder
    without a report.
    """
    reports = {name: load_report(place(folder)) for name, folder in zip(named(folders), folders, strict=True)}
    return markdown(compared(reports, every))


def compared(reports: dict[str, Report], every: bool) -> Table:
    found = {
        (figure.part, figure.data, figure.metric, name): figure
        for name, report in reports.items()
        for figure in report.figures
        if figure.who == MODEL and not figure.at and (every or figure.metric in HEADLINES)
    }
    rows = []
    for part, data, metric in unique_rows(found):
        own = [found.get((part, data, metric, name)) for name in reports]
        cells = (MISSING if figure is None else number(figure.value, figure.unit) for figure in own)
        rows.append((part, data, titled(metric), *cells))
    return Table(("part", "on", "what", *reports), tuple(rows))


def unique_rows(found: Iterable[tuple[str, str, str, str]]) -> list[tuple[str, str, str]]:
    """By part in the order of their first figure, so that a report with more of them does not tear parts apart."""
    rows = list(dict.fromkeys((part, data, metric) for part, data, metric, _ in found))
    parts = unique(part for part, _, _ in rows)
    return sorted(rows, key=lambda row: parts.index(row[0]))


def place(folder: Path) -> Path:
    """The report of an evaluation's folder, or of a run's `evaluation`."""
    inside = folder / INSIDE / REPORT
    return inside if inside.is_file() else folder


def named(folders: Sequence[Path]) -> list[str]:
    """The folders' names, or as much of their paths as tells them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(path[-depth:]) for path in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError("the same report was named twice: name each once")
