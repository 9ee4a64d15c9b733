"""`dialogue data prepare`: from exports to a corpus that training reads, with a report of what is in it.

One pass over the files writes both splits; nothing is held but hashes, counts and a sample. Which split a dialogue goes
to follows from its id and the seed alone.
"""

import gzip
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from dialogue_predictor.artifacts.bundle import locate, open_bundle
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.data.audit import Audit
from dialogue_predictor.training.data.corpora import PREPARED, share_of
from dialogue_predictor.training.data.dialogues import Dialogue, Language, Split
from dialogue_predictor.training.data.personal import PersonalData, masked
from dialogue_predictor.training.data.readers import Problems, read_dialogues, record_of
from dialogue_predictor.training.data.report import markdown
from dialogue_predictor.training.data.topics import Sample, topics

SAMPLES = 3
PARTIAL = ".partial"


@dataclass(frozen=True)
class PrepareOptions:
    validation_share: float = 0.1
    seed: int = 0
    language: Language | None = None
    max_errors: int = 100
    drop_personal: bool = False
    vectors: str = "builtin://default"


@dataclass
class Found:
    """Personal data so far: how many pieces of each kind, in how many dialogues, and masked samples."""

    pieces: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[str]] = field(default_factory=dict)
    dialogues: int = 0

    def add(self, pieces: Sequence[tuple[str, str]]) -> None:
        self.dialogues += bool(pieces)
        for kind, piece in pieces:
            self.pieces[kind] += 1
            shown = self.samples.setdefault(kind, [])
            if len(shown) < SAMPLES:
                shown.append(masked(piece))


def prepare(files: Sequence[Path], out: Path, options: PrepareOptions = PrepareOptions()) -> dict[str, object]:
    """Write train.jsonl.gz, validation.jsonl.gz, report.json and report.md under `out`; returns the report.

    Raises FileExistsError when `out` holds something, ValueError on files that cannot be read or hold no dialogue.
    A run that fails or is interrupted leaves no file behind.
    """
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; name a new folder with --out")
    bundle = open_bundle(locate(options.vectors))
    tokenizer = Tokenizer.load(bundle.tokenizer_path)
    problems, audit, found, sample = Problems(options.max_errors), Audit(), Found(), Sample(options.seed)
    out.mkdir(parents=True, exist_ok=True)
    partial = {split: out / f"{name}{PARTIAL}" for split, name in PREPARED.items()}
    try:
        with ExitStack() as opened:
            written = {split: opened.enter_context(writer(path)) for split, path in partial.items()}
            for dialogue in checked(read_all(files, problems, options.language), found, options.drop_personal):
                split = split_of(dialogue.id, options)
                written[split].write(json.dumps(record_of(dialogue), ensure_ascii=False) + "\n")
                audit.add(dialogue, split, [len(tokenizer.encode(turn.text)) for turn in dialogue.turns])
                sample.add(dialogue)
        if not audit.splits:
            named = ", ".join(map(str, files))
            raise ValueError("; ".join([f"no dialogue in {named}: is it the right file?", *problems.first]))
        report: dict[str, object] = {
            "files": [path.name for path in files],
            "seed": options.seed,
            "validation share": options.validation_share,
            **audit.summary(),
            "personal data": {
                "dialogues": found.dialogues,
                "dropped": options.drop_personal,
                "pieces": dict(found.pieces),
                "samples": found.samples,
            },
            "topics": topics(sample.texts, bundle, options.seed),
            "malformed": {"records": problems.count, "first": problems.first},
        }
        (out / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (out / "report.md").write_text(markdown(report), encoding="utf-8")
        for split, path in partial.items():
            path.rename(out / PREPARED[split])
    except BaseException:
        for path in (*partial.values(), out / "report.json", out / "report.md"):
            path.unlink(missing_ok=True)
        raise
    return report


@contextmanager
def writer(path: Path) -> Iterator[TextIO]:
    """Gzip whose bytes depend on what is written alone: no time, no name."""
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8") as text,
    ):
        yield text


def read_all(files: Sequence[Path], problems: Problems, language: Language | None) -> Iterator[Dialogue]:
    for path in files:
        yield from read_dialogues(path, problems, language)


def checked(dialogues: Iterable[Dialogue], found: Found, drop: bool) -> Iterator[Dialogue]:
    """Count personal data; with `drop`, dialogues that hold any are left out."""
    personal = PersonalData()
    for dialogue in dialogues:
        pieces = [
            piece for turn in dialogue.turns for text in (turn.text, *turn.facts) for piece in personal.find(text)
        ]
        found.add(pieces)
        if not (drop and pieces):
            yield dialogue


def split_of(name: str, options: PrepareOptions) -> Split:
    return "validation" if share_of(f"{options.seed}:{name}") < options.validation_share else "train"
