"""Figures as tables of text, for Markdown and HTML alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dialogue_predictor.evaluation.report import LOWER_IS_BETTER, Figure, unique

MISSING = "–"


@dataclass(frozen=True, slots=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def number(value: float, unit: str = "") -> str:
    """Two digits after the point, fewer of large values; infinity and what is no number as such."""
    if not math.isfinite(value):
        return MISSING
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    text = f"{value:,.{digits}f}".replace("-", "−")
    return f"{text} %" if unit == "%" else f"{text}{unit}"


def titled(metric: str) -> str:
    return f"{metric} ↓" if metric in LOWER_IS_BETTER else metric


def table_of(figures: Sequence[Figure]) -> Table:
    """The figures of one part: a column for each of who was measured, or for each strength of noise."""
    return by_strength(figures) if any(figure.at is not None for figure in figures) else by_who(figures)


def by_who(figures: Sequence[Figure]) -> Table:
    who = unique(figure.who for figure in figures)
    found = {(figure.data, figure.metric, figure.who): figure for figure in figures}
    rows = []
    for data, metric in dict.fromkeys((figure.data, figure.metric) for figure in figures):
        own = [found.get((data, metric, one)) for one in who]
        of = max(figure.of for figure in own if figure)
        cells = (MISSING if figure is None else number(figure.value, figure.unit) for figure in own)
        rows.append((data, titled(metric), *cells, f"{of:,}" if of else ""))
    return Table(("on", "what", *who, "examples"), tuple(rows))


def by_strength(figures: Sequence[Figure]) -> Table:
    """A row for each data and who; values with the difference to strength 0."""
    strengths = sorted({figure.at for figure in figures if figure.at is not None})
    found = {(figure.data, figure.who, figure.at): figure for figure in figures}
    rows = []
    for data, who in dict.fromkeys((figure.data, figure.who) for figure in figures):
        whole = found.get((data, who, 0.0))
        cells = []
        for strength in strengths:
            figure = found.get((data, who, strength))
            text = MISSING if figure is None else number(figure.value, figure.unit)
            if figure and whole and strength:
                difference = number(figure.value - whole.value)
                text += f" ({difference if difference.startswith('−') else f'+{difference}'})"
            cells.append(text)
        rows.append((data, who, *cells))
    metric = figures[0].metric
    return Table(("on", "whose", *(f"{metric} at {strength:g}" for strength in strengths)), tuple(rows))


def markdown(table: Table) -> str:
    lines = (table.head, ("---",) * len(table.head), *table.rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', '∣') for cell in line)} |" for line in lines)
