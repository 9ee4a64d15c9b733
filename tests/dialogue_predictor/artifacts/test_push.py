"""A pushed version is whole or refused and never changes: in a folder, an S3 store and an OCI layout."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dialogue_predictor.artifacts import s3
from dialogue_predictor.artifacts.bundle import CONTENT, DIGEST, Bundle, locate, open_bundle
from dialogue_predictor.artifacts.publish import publish, write_json
from dialogue_predictor.artifacts.push import pull, push
from dialogue_predictor.cli.bundle import app
from dialogue_predictor.errors import BundleInvalid, BundleNotFound, DigestMismatch
from support.s3_store import BUCKET, client, s3_store
from support.tiny_bundles import tiny_bundle

FILES = (*CONTENT, DIGEST)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    """The same name and version with different weights."""
    folder = tmp_path_factory.mktemp("bundles")
    return publish(tiny_bundle(folder / "1").folder, folder / "a", "1.0"), publish(
        tiny_bundle(folder / "2", seed=5).folder, folder / "b", "1.0"
    )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_store(tmp_path_factory.mktemp("s3")) as environment:
        yield environment


@pytest.fixture
def store(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an empty store that the product finds too."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store = client(environment)
    yield store
    for key in keys(store):
        store.delete_object(Bucket=BUCKET, Key=key)


def keys(store: Any) -> list[str]:
    return [one["Key"] for one in store.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


@pytest.fixture(params=["folder", "s3", "oci"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        request.getfixturevalue("store")
        return f"s3://{BUCKET}/teams/faq"
    return f"oci:{tmp_path}/layout:latest" if request.param == "oci" else str(tmp_path / "models")


def fetched(where: str, to: Path) -> Bundle:
    return pull(where, to) if ":" in where else open_bundle(where)


def test_what_is_pushed_comes_back_as_it_was(bundles: Any, destination: str, tmp_path: Path) -> None:
    pushed = push(bundles[0], destination)
    assert pushed.fresh
    assert pushed.where.endswith(":latest" if "oci:" in destination else "tiny/1.0")
    back = fetched(pushed.where, tmp_path / "back")
    assert back.digest == bundles[0].digest
    assert (back.folder / "model.safetensors").read_bytes() == bundles[0].weights_path.read_bytes()


def test_the_same_again_changes_nothing_and_other_content_is_refused(
    bundles: Any, destination: str, tmp_path: Path
) -> None:
    where = push(bundles[0], destination).where
    again = push(bundles[0], destination)
    assert (again.where, again.fresh) == (where, False)
    with pytest.raises(BundleInvalid, match="version never changes, choose a new"):
        push(bundles[1], destination)
    assert fetched(where, tmp_path / "back").digest == bundles[0].digest


def test_of_two_that_push_at_once_one_wins_whole(bundles: Any, destination: str, tmp_path: Path) -> None:
    def attempt(bundle: Bundle) -> str | None:
        try:
            return push(bundle, destination).where
        except BundleInvalid:
            return None

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(attempt, [bundles[0], bundles[1]] * 3))
    sides = {bool(won[at]) for at in (0, 2, 4)}, {bool(won[at]) for at in (1, 3, 5)}
    assert sides in (({True}, {False}), ({False}, {True}))
    where = next(where for where in won if where)
    winner = bundles[0] if sides[0] == {True} else bundles[1]
    assert fetched(where, tmp_path / "back").digest == winner.digest


@pytest.mark.parametrize("writes", range(5))
def test_a_push_to_s3_that_was_cut_off_is_completed_by_the_same_content_alone(
    writes: int, bundles: Any, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    whole = s3.put

    def dying(client: Any, bucket: str, key: str, path: Path) -> bool:
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(key)
        return whole(client, bucket, key, path)

    with monkeypatch.context() as patch:
        patch.setattr(s3, "put", dying)
        with pytest.raises(KeyboardInterrupt):
            push(bundles[0], f"s3://{BUCKET}")
    assert len(keys(store)) == writes
    with pytest.raises(BundleNotFound, match="is missing; push the bundle again"):
        pull(f"s3://{BUCKET}/tiny/1.0", tmp_path / "half")
    if writes:
        with pytest.raises(BundleInvalid, match="holds other content"):
            push(bundles[1], f"s3://{BUCKET}")
    assert push(bundles[0], f"s3://{BUCKET}").fresh
    assert pull(f"s3://{BUCKET}/tiny/1.0", tmp_path / "whole").digest == bundles[0].digest


def test_an_object_that_was_there_before_is_not_taken_for_ours(bundles: Any, store: Any) -> None:
    store.put_object(Bucket=BUCKET, Key="tiny/1.0/card.md", Body=b"mine")
    with pytest.raises(BundleInvalid, match=r"card\.md was there before, with other bytes"):
        push(bundles[0], f"s3://{BUCKET}")
    assert store.get_object(Bucket=BUCKET, Key="tiny/1.0/card.md")["Body"].read() == b"mine"


def test_what_was_changed_in_the_store_is_not_read(bundles: Any, store: Any, tmp_path: Path) -> None:
    push(bundles[0], f"s3://{BUCKET}")
    store.put_object(Bucket=BUCKET, Key="tiny/1.0/card.md", Body=b"other")
    with pytest.raises(DigestMismatch):
        pull(f"s3://{BUCKET}/tiny/1.0", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_store_that_refuses_says_so_in_one_sentence(
    bundles: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleInvalid, match=r"the S3 store at http://127.0.0.1:\d+: .*NoSuchBucket"):
        push(bundles[0], "s3://nowhere")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(BundleInvalid, match="SignatureDoesNotMatch"):
        push(bundles[0], f"s3://{BUCKET}")


def test_the_layout_is_the_image_specifications(bundles: Any, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    push(bundles[0], f"oci:{layout}")
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "tiny-1.0"
    manifest = json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_text())
    assert manifest["artifactType"] == entry["artifactType"] == "application/vnd.dialogue.bundle.v1"
    named = {layer["annotations"]["org.opencontainers.image.title"]: layer for layer in manifest["layers"]}
    assert set(named) == set(FILES)
    for name, layer in named.items():
        content = (layout / "blobs" / layer["digest"].replace(":", "/")).read_bytes()
        assert content == (bundles[0].folder / name).read_bytes()
        assert len(content) == layer["size"]


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="there is no skopeo")
def test_skopeo_reads_the_layout_and_copies_it(bundles: Any, tmp_path: Path) -> None:
    push(bundles[0], f"oci:{tmp_path}/layout:v1")
    there = f"oci:{tmp_path}/layout:v1"
    said = subprocess.run(["skopeo", "inspect", "--raw", there], capture_output=True, check=True).stdout
    assert json.loads(said)["artifactType"] == "application/vnd.dialogue.bundle.v1"
    subprocess.run(["skopeo", "copy", "--quiet", there, f"oci:{tmp_path}/copy:v1"], check=True)
    assert pull(f"oci:{tmp_path}/copy:v1", tmp_path / "back").digest == bundles[0].digest


def test_a_layout_holds_many_versions_and_no_version_twice(bundles: Any, tmp_path: Path) -> None:
    layout = f"oci:{tmp_path}/layout"
    newer = publish(bundles[1].folder, tmp_path / "newer", "1.1")
    assert push(bundles[0], layout).fresh
    assert push(newer, layout).fresh
    assert push(bundles[0], f"{layout}:stable").fresh
    with pytest.raises(BundleInvalid, match=r"tiny-1\.0 holds other content"):
        push(bundles[1], f"{layout}:elsewhere")
    for tag, bundle in (("tiny-1.0", bundles[0]), ("stable", bundles[0]), ("tiny-1.1", newer)):
        assert pull(f"{layout}:{tag}", tmp_path / tag).digest == bundle.digest


def test_a_changed_blob_is_not_read_and_a_second_push_mends_it(bundles: Any, tmp_path: Path) -> None:
    push(bundles[0], f"oci:{tmp_path}/layout:v1")
    card = (bundles[0].folder / "card.md").read_bytes()
    blob = next(path for path in (tmp_path / "layout/blobs/sha256").iterdir() if path.read_bytes() == card)
    blob.write_bytes(b"other")
    with pytest.raises(BundleInvalid, match="does not have the bytes of its name"):
        pull(f"oci:{tmp_path}/layout:v1", tmp_path / "back")
    push(bundles[0], f"oci:{tmp_path}/layout:v1")
    assert pull(f"oci:{tmp_path}/layout:v1", tmp_path / "back").digest == bundles[0].digest


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer["annotations"].update({"org.opencontainers.image.title": "../../escaped"}),
        lambda layer: layer.update(digest="sha256:../../../../escaped"),
    ],
)
def test_a_layer_cannot_lead_out_of_its_folder(change: Callable[[Any], object], bundles: Any, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    push(bundles[0], f"oci:{layout}:v1")
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads((layout / "blobs" / index["manifests"][0]["digest"].replace(":", "/")).read_text())
    change(manifest["layers"][0])
    content = json.dumps(manifest).encode()
    digest = hashlib.sha256(content).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(content)
    index["manifests"][0]["digest"] = f"sha256:{digest}"
    write_json(layout / "index.json", index)
    with pytest.raises(BundleInvalid, match=r"no file of a bundle|no SHA-256 digest"):
        pull(f"oci:{layout}:v1", tmp_path / "back")
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize(
    ("destination", "told"),
    [
        ("s3://", "is not s3://BUCKET"),
        ("s3://models//faq", "is not s3://BUCKET"),
        ("s3://models/../faq", "is not s3://BUCKET"),
        ("oci:", "is not oci:FOLDER:TAG"),
        ("oci:layout:a tag", "is not oci:FOLDER:TAG"),
    ],
)
def test_a_malformed_destination_is_refused(destination: str, told: str, bundles: Any) -> None:
    with pytest.raises(BundleInvalid, match=told):
        push(bundles[0], destination)


@pytest.mark.parametrize("version", ["../1", "a/b", "", ".hidden", "1 0"])
def test_a_version_that_is_no_path_is_refused(version: str, bundles: Any, tmp_path: Path) -> None:
    odd = publish(bundles[0].folder, tmp_path / "odd", version=version)
    with pytest.raises(BundleInvalid, match="cannot be part of a path"):
        push(odd, str(tmp_path / "models"))
    assert not (tmp_path / "models").exists()


def test_the_command_line_pushes_and_pulls(tmp_path: Path) -> None:
    digest = open_bundle(locate("builtin://default")).digest
    layout = f"oci:{tmp_path}/layout:v1"
    for said in ("", " is there already"):
        pushed = CliRunner().invoke(app, ["push", "builtin://default", layout])
        assert pushed.stdout == f"{layout}{said}: {digest}\n", pushed.output
    assert CliRunner().invoke(app, ["pull", layout, str(tmp_path / "back")]).stdout.strip() == digest
    refused = CliRunner().invoke(app, ["pull", "gs://models/faq", str(tmp_path / "other")])
    assert refused.exit_code == 1
    assert "gs://models/faq is neither s3://" in refused.stderr
