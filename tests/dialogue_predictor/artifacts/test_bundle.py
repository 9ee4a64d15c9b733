"""A bundle is whole or refused: every byte, every file, every field."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dialogue_predictor.artifacts.bundle import CONTENT, compute_digest, locate, open_bundle
from dialogue_predictor.artifacts.config import Quantisation, config_of
from dialogue_predictor.errors import BundleInvalid, BundleNotFound, DigestMismatch, SpecInvalid
from dialogue_predictor.text.style import PlainText


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(locate("builtin://default"), tmp_path / "bundle")


def seal(folder: Path) -> None:
    (folder / "digest").write_text(compute_digest(folder) + "\n")


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    seal(folder)


def test_a_whole_bundle_opens(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert bundle.name == "default"
    assert bundle.digest == compute_digest(folder)
    assert open_bundle(folder, bundle.digest) == bundle


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("place", [0, -1])
def test_one_changed_bit_is_a_mismatch(folder: Path, name: str, place: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[place] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DigestMismatch) as caught:
        open_bundle(folder)
    assert caught.value.expected == (folder / "digest").read_text().strip()
    assert caught.value.got == compute_digest(folder)


def test_the_default_bundle_is_still_the_one_that_was_shipped(folder: Path) -> None:
    """Fields younger than it mean what it was made with, and writing its config anew changes no byte of it."""
    bundle = open_bundle(folder)
    assert bundle.digest == (locate("builtin://default") / "digest").read_text().strip()
    assert (bundle.quantisation, bundle.text) == (Quantisation("int8", "int8"), None)
    assert bundle.config.to_dict() == json.loads((folder / "config.json").read_text())


def test_what_a_config_says_is_what_is_read(folder: Path) -> None:
    edit_config(folder, quantisation={"weights": "int8", "compute": "int8"})
    assert open_bundle(folder).quantisation == Quantisation("int8", "int8")
    said = {
        "style": "plain",
        "prefix": [1],
        "suffix": [2],
        "turn_separator": "  ",
        "forced_bos_id": 7,
        "bad_words": [[3, 4]],
    }
    edit_config(folder, text=said)
    bundle = open_bundle(folder)
    assert bundle.text == PlainText((1,), (2,), "  ", forced_bos_id=7, bad_words=((3, 4),))
    assert config_of(json.loads(json.dumps(bundle.config.to_dict()))) == bundle.config


def test_bytes_moved_from_one_file_to_another_change_the_digest(folder: Path) -> None:
    before = compute_digest(folder)
    card, config = (folder / "card.md").read_bytes(), (folder / "config.json").read_bytes()
    (folder / "card.md").write_bytes(card + config[:1])
    (folder / "config.json").write_bytes(config[1:])
    assert compute_digest(folder) != before


def test_the_digest_asked_for_must_be_the_one_there(folder: Path) -> None:
    asked = "sha256:" + "0" * 64
    with pytest.raises(DigestMismatch, match=r"spec\.model\.digest: expected sha256:0000"):
        open_bundle(folder, asked)


@pytest.mark.parametrize("name", [*CONTENT, "digest"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleInvalid, match=f"{name} is missing"):
        open_bundle(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pkl", ".hidden"])
def test_an_unknown_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x80\x04.")
    with pytest.raises(BundleInvalid, match=f"unknown file {name}"):
        open_bundle(folder)


def test_a_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "card.md").unlink()
    (folder / "card.md").mkdir()
    with pytest.raises(BundleInvalid, match=r"card\.md is not a file"):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format is 2"),
        ({"name": 7}, "name is missing or not of type str"),
        ({"version": None}, "version is missing"),
        ({"architecture": {"vocab_size": 9}}, "architecture"),
        ({"special_tokens": {"<pad>": 1}}, "special_tokens differ"),
        ({"quantisation": "int8"}, "quantisation is missing or not of type dict"),
        ({"quantisation": {"weights": "int4"}}, "quantisation: weights must be one of fp32, fp16, int8, got 'int4'"),
        ({"quantisation": {"compute": None}}, "quantisation: compute must be one of fp32, bf16, int8, got None"),
        ({"quantisation": {"bits": 8}}, "quantisation: bits is unknown to this predictor"),
        ({"text": {"style": "chatml"}}, "text: style must be ours or plain, got 'chatml'"),
        ({"text": {"style": "plain", "prompt": ""}}, "text: unknown field: prompt"),
        ({"text": {"style": "plain", "prefix": 5}}, "text: prefix must be token ids, got 5"),
        ({"text": {"style": "plain", "bad_words": [[]]}}, "text: bad_words must be token ids"),
        ({"text": {"style": "plain", "turn_separator": 1}}, "text: turn_separator must be text or null, got 1"),
        ({"text": {"style": "plain", "suffix": [8192]}}, "text: suffix must lie in the vocabulary of 8192, got 8192"),
        ({"text": {"style": "plain", "forced_eos_id": -1}}, "text: forced_eos_id must lie in the vocabulary"),
    ],
)
def test_a_malformed_config_says_which_field(folder: Path, changes: dict[str, object], message: str) -> None:
    edit_config(folder, **changes)
    with pytest.raises(BundleInvalid, match=message):
        open_bundle(folder)


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_config_that_is_no_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    seal(folder)
    with pytest.raises(BundleInvalid, match=r"config\.json"):
        open_bundle(folder)


def test_where_uris_lead(tmp_path: Path) -> None:
    assert locate("pvc://models/faq", str(tmp_path)) == tmp_path
    assert locate(str(tmp_path)) == tmp_path
    assert (locate("builtin://default") / "config.json").is_file()


@pytest.mark.parametrize("uri", ["builtin://other", "builtin://../text", "builtin://", "/no/such/folder"])
def test_a_bundle_that_is_not_there(uri: str) -> None:
    with pytest.raises(BundleNotFound):
        locate(uri)


def test_an_empty_folder_holds_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="is empty; publish the bundle there"):
        open_bundle(tmp_path)


def test_a_volume_that_is_not_mounted(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="is not mounted"):
        locate("pvc://models/faq", str(tmp_path / "nothing"))


def test_another_scheme_is_the_manifests_mistake() -> None:
    with pytest.raises(SpecInvalid, match=r"spec\.model\.uri"):
        locate("s3://bucket/model")


def test_verification_needs_no_torch() -> None:
    code = (
        "import sys; from dialogue_predictor.artifacts.bundle import *; open_bundle(locate('builtin://default'));"
        "import dialogue_predictor.artifacts.push, dialogue_predictor.text.source;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
