"""What is known, as lines: records of a call and triples of a knowledge graph in the words that a model reads."""

import re
from collections.abc import Mapping, Sequence

YES_NO = {"True": "yes", "False": "no"}
REMARK = re.compile(r"（[^（）]*）$")  # of KdConv's subjects: which of the films of that name


def record_lines(records: Sequence[Mapping[str, str]], demanded: Mapping[str, str]) -> tuple[str, ...]:
    """The results of a call, one a line: `restaurant name: Cabalen; city: San Bruno`.

    What the call demanded comes last, as it was said already, and what a record shares with the first is left out.
    """
    lines = []
    for at, record in enumerate(records):
        new = {key: value for key, value in record.items() if not at or records[0].get(key) != value}
        ordered = sorted(new or record, key=lambda key: key in demanded)
        lines.append("; ".join(f"{key.replace('_', ' ')}: {YES_NO.get(record[key], record[key])}" for key in ordered))
    return tuple(lines)


def triple_line(subject: str, attribute: str, value: str) -> str:
    """A fact of a knowledge graph: `故宫 门票 60元`. `Information` is the graph's word for a description."""
    return f"{REMARK.sub('', subject)} {attribute.replace('Information', '简介')} {value}"
