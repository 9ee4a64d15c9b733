"""The result of an evaluation: a flat list of figures, from which every table and plot is made; kept as JSON."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

MODEL: Final = "model"
TEACHER: Final = "teacher"
REPORT: Final = "report.json"
FORMAT: Final = 1

LOWER_IS_BETTER = frozenset(
    {"perplexity", "degenerate", "declined falsely", "latency p50", "latency p95", "peak memory", "weights"}
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One value. `data`: what it was measured on; `who`: whose it is: the model's, its teacher's, a baseline's.

    `of` counts the examples behind it (0: not a mean over examples). `unit` is printed after it; shares have "%" and
    are kept as percentages. `at` is the strength of noise that the data had, where strengths are compared.
    """

    part: str
    data: str
    metric: str
    who: str
    value: float
    of: int = 0
    unit: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """`subjects` describes the model and, where there is one, its teacher; `notes` say what was left out and why."""

    subjects: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    def parts(self) -> list[str]:
        """The names of the parts that have figures, in the order of their first one."""
        return unique(figure.part for figure in self.figures)

    def of(self, part: str) -> list[Figure]:
        return [figure for figure in self.figures if figure.part == part]


def unique(names: Iterable[str]) -> list[str]:
    """Each once, in the order of its first appearance."""
    return list(dict.fromkeys(names))


def save_report(report: Report, folder: Path) -> Path:
    """Write `report.json`, without values that JSON cannot hold: they become null."""
    record: dict[str, Any] = {"format": FORMAT, "kind": "evaluation"} | asdict(report)
    for figure in record["figures"]:
        if not math.isfinite(figure["value"]):
            figure["value"] = None
    path = folder / REPORT
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return path


def load_report(path: Path) -> Report:
    """Read a folder's `report.json` or the file itself. Raises FileNotFoundError or ValueError that name it."""
    file = path / REPORT if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there: run `dialogue evaluate --bundle … --out {path}` first")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record.get("kind") != "evaluation" or record.get("format") != FORMAT:
            raise ValueError("it is the report of something else")
        figures = tuple(
            Figure(**(figure | {"value": math.nan if figure["value"] is None else figure["value"]}))
            for figure in record["figures"]
        )
        return Report(record["subjects"], record["settings"], figures, tuple(record["notes"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{file} is no report of `dialogue evaluate`: {error}") from error
