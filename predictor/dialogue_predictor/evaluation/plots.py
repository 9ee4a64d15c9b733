"""Figures as plots: SVG text to put into a page, the same bytes for the same figures."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dialogue_predictor.evaluation.report import Figure, unique

PLOTTED: Mapping[str, tuple[str, ...]] = {
    "replies": ("BLEU", "chrF", "distinct-2"),
    "perplexity": ("perplexity",),
    "retrieval": ("recall@1", "recall@10"),
    "zero-shot intents": ("accuracy",),
    "intent classifier": ("micro accuracy", "macro accuracy"),
    "off-topic": ("declined", "declined falsely"),
    "precision": ("chrF",),
}
COLOURS = {
    "model": "#2f6fde",
    "teacher": "#6b4bc1",
    "TF-IDF": "#d9822b",
    "TF-IDF with facts": "#b5562b",
    "people": "#3a9a5b",
    "chance": "#9aa0a8",
}
OTHER = "#555a61"
METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
WIDTH, HEIGHT = 9.0, 3.2  # inches


def plot(part: str, figures: Sequence[Figure]) -> str | None:
    """The part's figures as one SVG; None where there is nothing to compare."""
    if any(figure.at is not None for figure in figures):
        return drawn(part, lines, grouped(figures, lambda figure: figure.data.split(", ", 1)[0]))
    metrics = {name: [one for one in figures if one.metric == name] for name in PLOTTED.get(part, ())}
    present = {name: own for name, own in metrics.items() if own}
    return drawn(part, bars, present) if present else None


def grouped(figures: Sequence[Figure], key: Any) -> dict[str, list[Figure]]:
    return {name: [one for one in figures if key(one) == name] for name in unique(map(key, figures))}


def drawn(part: str, draw: Any, panels: Mapping[str, Sequence[Figure]]) -> str:
    """Panels below each other, at most two in a row, with one legend."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    settings = {"svg.hashsalt": part, "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
    with matplotlib.rc_context(settings):
        canvas = Canvas(figsize=(WIDTH, HEIGHT * rows), layout="constrained")
        for position, (name, figures) in enumerate(panels.items(), 1):
            axes = canvas.add_subplot(rows, columns, position)
            axes.set_title(name)
            axes.spines[["top", "right"]].set_visible(False)
            draw(axes, figures)
        handles = dict(
            pair for axes in canvas.axes for pair in zip(*reversed(axes.get_legend_handles_labels()), strict=True)
        )
        canvas.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = METADATA.sub("", buffer.getvalue())
    return text[text.index("<svg") :]


def bars(axes: Any, figures: Sequence[Figure]) -> None:
    """A group of bars for each data, a bar for each who."""
    data, who = unique(figure.data for figure in figures), unique(figure.who for figure in figures)
    height = 0.8 / len(who)
    for index, one in enumerate(who):
        own = {figure.data: figure.value for figure in figures if figure.who == one}
        places = [place + index * height for place, name in enumerate(data) if math.isfinite(own.get(name, math.nan))]
        values = [own[name] for name in data if math.isfinite(own.get(name, math.nan))]
        axes.barh(places, values, height, label=one, color=COLOURS.get(one, OTHER))
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(data))], [wrapped(name) for name in data])
    axes.invert_yaxis()


def lines(axes: Any, figures: Sequence[Figure]) -> None:
    """Values over strengths: a colour for each who, a dash for each kind of noise."""
    kinds = unique(figure.data for figure in figures)
    dashes = ("-", "--", ":", "-.")
    for number, kind in enumerate(kinds):
        for one in unique(figure.who for figure in figures):
            own = sorted(
                (figure.at or 0.0, figure.value) for figure in figures if (figure.data, figure.who) == (kind, one)
            )
            label = f"{one}: {kind.split(', ', 1)[-1]}"
            strengths, values = zip(*own, strict=True)
            axes.plot(strengths, values, dashes[number % 4], label=label, color=COLOURS.get(one, OTHER), linewidth=1.2)
    axes.set_xlabel("strength")
    axes.set_ylabel(figures[0].metric)


def wrapped(name: str) -> str:
    """Long names on several lines."""
    import textwrap

    return "\n".join(textwrap.wrap(name, 24))
