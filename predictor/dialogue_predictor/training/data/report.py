"""The report on a prepared corpus as Markdown: the JSON's figures, and how each was got."""

from collections.abc import Mapping
from typing import Any

HOW = {
    "languages": "as declared, else by script: Chinese when at least a fifth of the letters are Han characters",
    "duplicates": "after the first: same id; exact without case, punctuation and the digits of numbers; near by a sketch "
    "of six-character shingles",
    "leaks": "validation dialogues that training has whole, or of whose turns (of twelve characters and more) four fifths "
    "stand in training",
    "personal data": "by pattern and checksum; names and addresses are not found; samples are masked",
    "topics": "clusters of sentence vectors of a sample of what users say, each with its most typical words",
}


def markdown(report: Mapping[str, Any]) -> str:
    parts = ["# What is in this corpus", ""]
    for name, value in report.items():
        parts += [f"## {name[0].upper()}{name[1:]}", ""]
        parts += [f"{HOW[name][0].upper()}{HOW[name][1:]}.", ""] if name in HOW else []
        parts += [*section(value), ""]
    return "\n".join(parts).rstrip() + "\n"


def section(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        rows = [f"| {key} | {cell(one)} |" for key, one in value.items()]
        return ["| | |", "| --- | --- |", *rows] if rows else ["none"]
    if isinstance(value, list):
        return [f"- {cell(one)}" for one in value] or ["none"]
    return [cell(value)]


def cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {cell(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(cell, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).replace("|", "\\|")
