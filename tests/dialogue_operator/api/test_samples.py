"""The manifests that people start from fit together."""

from pathlib import Path

import pytest

from dialogue_operator.cli.manifests import read_models
from dialogue_operator.rollout.golden import parse_dialogues
from support.samples import dialogue_models, documents


@pytest.mark.parametrize("path", dialogue_models(), ids=lambda path: path.stem)
def test_a_sample_brings_the_golden_dialogues_that_it_names(path: Path) -> None:
    there = {one["metadata"]["name"]: one["data"] for one in documents(path) if one["kind"] == "ConfigMap"}
    wanted = {
        model.spec.preflight.config_map_name for model in read_models(str(path), "default") if model.spec.preflight
    }
    assert wanted == there.keys()
    assert all(parse_dialogues(data["dialogues.json"]) for data in there.values())


def test_there_is_a_sample_of_every_way_to_roll_out() -> None:
    assert {"canary", "bluegreen", "experiment", "shadow", "autoscaling"} <= {path.stem for path in dialogue_models()}
