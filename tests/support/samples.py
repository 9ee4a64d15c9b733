"""The manifests that people are given, and golden files to compare with."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "manifests" / "samples"
CHART = ROOT / "charts" / "dialogue-operator"


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def dialogue_models() -> list[Path]:
    """Sample files with a DialogueModel in them."""
    return [
        path for path in sorted(SAMPLES.glob("*.yaml")) if any(d["kind"] == "DialogueModel" for d in documents(path))
    ]


def check_golden(path: Path, text: str, update: bool) -> None:
    """`text` is what `path` holds; with --update-golden it is written there."""
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs; look at it, then run with --update-golden"
