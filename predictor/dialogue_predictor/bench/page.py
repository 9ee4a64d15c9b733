"""The result as Markdown, and its place in a page that people wrote the rest of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from dialogue_predictor.bench.rows import Finding, Row
from dialogue_predictor.bench.sampling import Samples
from dialogue_predictor.bench.settings import TITLES, Setting

BEGIN: Final = "<!-- decoding:begin -->"
END: Final = "<!-- decoding:end -->"


def number(value: float, unit: str = "") -> str:
    """Three significant digits or all before the point, whichever is more."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}{unit}"


def bound(row: Row, value: float | None) -> str:
    if value is None:
        return ""
    return f"{'≤' if row.lower else '≥'} {value:g}{row.unit}"


def row_line(finding: Finding) -> str:
    """A row of the table of findings; also what the command prints."""
    row = finding.row
    value = "" if finding.value is None else number(finding.value, row.unit)
    judged = row.floor is not None or finding.value is None
    cells = (row.title, value, bound(row, row.floor), bound(row, row.target), finding.verdict if judged else "",
             finding.detail)  # fmt: skip
    return f"| {' | '.join(cells)} |"


def findings_table(findings: Iterable[Finding]) -> str:
    head = "| what | measured | floor | target | | how |\n| --- | --- | --- | --- | --- | --- |"
    return "\n".join((head, *map(row_line, findings)))


def samples_line(setting: Setting, taken: Samples, library_mib: float) -> str:
    low, high = taken.spread
    group = str(setting.group) if setting.group else "all"
    kept = str(len(taken.counted)) + (f", {taken.disturbed} of them disturbed" if taken.disturbed else "")
    cells = (
        TITLES[setting.engine],
        str(setting.layout),
        group,
        f"{1000 * taken.seconds:,.0f} ({1000 * low:,.0f} to {1000 * high:,.0f})",
        f"{taken.tokens_a_second:,.0f}",
        kept,
        str(taken.dropped),
        f"{taken.peak_mib - library_mib:,.0f} (of {taken.peak_mib:,.0f})",
    )
    return f"| {' | '.join(cells)} |"


def samples_table(title: str, samples: Mapping[Setting, Samples], library_mib: Mapping[Setting, float]) -> str:
    head = (
        f"| {title} | instances x threads | sources at a time | ms, median (range) | tokens/s | samples | dropped "
        "| memory, MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    lines = (samples_line(setting, taken, library_mib[setting.grouped(0)]) for setting, taken in samples.items())
    return "\n".join((head, *lines))


def section(command: str, minutes: float, machine: str, tables: Sequence[str], notes: Sequence[str]) -> str:
    """What stands between the marks."""
    facts = "\n".join(f"- {note}" for note in notes)
    return "\n\n".join((f"`{command}`, {minutes:.1f} minutes, on {machine}", tables[0], facts, *tables[1:]))


def replaced(text: str, body: str) -> str:
    """The page with another body between its marks. Raises ValueError when it has not exactly one pair of them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"the page must have {BEGIN} and {END} once each")
    return f"{before}{BEGIN}\n\n{body}\n\n{END}{after}"
