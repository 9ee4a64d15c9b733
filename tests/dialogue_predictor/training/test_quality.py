"""What a number format costs: every corpus, every format, beside the first one's replies."""

from pathlib import Path

import pytest

from dialogue_predictor.training.quality import compare
from support.tiny_bundles import tiny_bundle
from support.tiny_corpora import write_corpora


def test_every_corpus_is_compared_in_every_precision(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    rows = list(compare(bundle, write_corpora(tmp_path / "data"), most=3))
    assert [(row.corpus, row.precision) for row in rows] == [
        (corpus, precision) for corpus in ("sgd", "crosswoz") for precision in ("fp32", "bf16", "int8")
    ]
    for row in rows:
        assert 0 < row.examples <= 3
        assert 0 <= row.chrf <= 100
        assert row.same == 1.0 or row.precision != "fp32"


def test_no_corpus_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no corpus under"):
        list(compare(tiny_bundle(tmp_path / "bundle"), tmp_path, most=3))
