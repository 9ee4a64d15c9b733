"""Archives and folders from anywhere: plain files come out of them, or one sentence that says what is wrong."""

import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dialogue_predictor.artifacts import safety
from dialogue_predictor.artifacts.bundle import CONTENT, DIGEST, compute_digest, open_bundle
from dialogue_predictor.artifacts.safety import check_folder, opened, unpack
from dialogue_predictor.cli.bundle import app
from dialogue_predictor.errors import BundleInvalid, BundleNotFound, DialogueError, DigestMismatch
from support.checkpoints import checkpoint
from support.tiny_bundles import tiny_bundle

FILES = (*CONTENT, DIGEST)
ENDINGS = {"tar": "tar", "tar.gz": "gztar", "zip": "zip"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").folder


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("around", [True, False])
def test_a_packed_bundle_is_verified_and_pushed(ending: str, around: bool, folder: Path, tmp_path: Path) -> None:
    root = folder.parent if around else folder
    packed = shutil.make_archive(str(tmp_path / "packed"), ENDINGS[ending], root, folder.name if around else None)
    digest = open_bundle(folder).digest
    assert CliRunner().invoke(app, ["verify", packed]).stdout == f"{digest}\n"
    assert CliRunner().invoke(app, ["push", packed, str(tmp_path / "models")]).exit_code == 0
    assert open_bundle(tmp_path / "models/tiny/4").digest == digest


def test_a_packed_checkpoint_is_imported(tmp_path: Path) -> None:
    checkpoint("marian", tmp_path / "checkpoint")
    packed = shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path / "checkpoint")
    said = CliRunner().invoke(app, ["import", packed, str(tmp_path / "out"), "--name", "mt", "--version", "1"])
    assert said.exit_code == 0, said.output
    assert open_bundle(tmp_path / "out").digest == said.stdout.strip()


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, b"x" if kind == tarfile.REGTYPE else b""


def zip_of(path: Path, *names: str, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, b"/etc/passwd")
    return path


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/tmp/escaped", "..\\escaped", "C:escaped"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_path_that_leads_out_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    into = tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    path = tmp_path / f"a.{kind}"
    packed = zip_of(path, "fine", name) if kind == "zip" else tar_of(path, member("fine"), member(name))
    with pytest.raises(BundleInvalid, match="leads out of the folder"):
        unpack(packed, into)
    assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "fine"), (tarfile.CHRTYPE, ""), (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)  # fmt: skip
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, link: str, tmp_path: Path) -> None:
    packed = tar_of(tmp_path / "a.tar.gz", member("fine"), member("card.md", kind, link))
    with pytest.raises(BundleInvalid, match=r"'card\.md' is a link or a device"), opened(packed):
        pass


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    packed = zip_of(tmp_path / "a.zip", "card.md", mode=0o120777)
    with pytest.raises(BundleInvalid, match=r"'card\.md' is a link or a device"), opened(packed):
        pass


def test_the_same_path_twice_is_refused(tmp_path: Path) -> None:
    packed = tar_of(tmp_path / "a.tar", member("card.md"), member("./card.md"))
    with pytest.raises(BundleInvalid, match=r"the same path twice: card\.md"), opened(packed):
        pass


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    packed = tar_of(tmp_path / "a.tar", *(member(str(number)) for number in range(safety.MOST_MEMBERS + 1)))
    with pytest.raises(BundleInvalid, match="more than 256 members"), opened(packed):
        pass


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(safety, "ALWAYS_BYTES", 1 << 20)
    return 1 << 20


def bomb(path: Path, size: int) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("card.md", bytes(size))
        return path
    return tar_of(path, (tarfile.TarInfo("card.md"), bytes(size)))


@pytest.mark.parametrize("ending", ["tar.gz", "zip"])
def test_a_bomb_goes_off_nowhere(ending: str, small_limit: int, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    packed = bomb(tmp_path / f"bomb.{ending}", 40 * small_limit)
    assert packed.stat().st_size < small_limit // 2
    with pytest.raises(BundleInvalid, match="unpacks to more than 1 MiB, 20 times its size"):
        unpack(packed, into)
    assert sum(path.stat().st_size for path in into.rglob("*")) <= small_limit
    bomb(tmp_path / f"fine.{ending}", small_limit // 2)
    unpack(tmp_path / f"fine.{ending}", into / "..")


@pytest.mark.timeout(30)
def test_headers_that_keep_a_reader_busy_are_refused(tmp_path: Path) -> None:
    info, content = member("card.md")
    info.pax_headers = {"comment": "0" * (1 << 20)}
    packed = tar_of(tmp_path / "a.tar.gz", (info, content))
    with pytest.raises(BundleInvalid, match=r"an extended header of 10485\d\d bytes"), opened(packed):
        pass


def test_long_names_are_fine(tmp_path: Path) -> None:
    name = "/".join(["北" * 60] * 3)
    with opened(tar_of(tmp_path / "a.tar", member(name), member("b"))) as folder:
        assert (folder / name).read_bytes() == b"x"


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "zip"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04", b"\x1f\x8b\x08\x00" + b"\xff" * 64])
def test_an_archive_that_is_none_is_refused(ending: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / f"a.{ending}").write_bytes(content)
    said = CliRunner().invoke(app, ["verify", str(tmp_path / f"a.{ending}")])
    assert said.exit_code == 1
    assert said.stderr.count("\n") == 1
    assert said.exception is None or isinstance(said.exception, SystemExit)


def test_what_is_neither_folder_nor_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.rar").write_bytes(b"")
    with pytest.raises(BundleInvalid, match="neither a folder nor one of"), opened(tmp_path / "model.rar"):
        pass
    with pytest.raises(BundleNotFound), opened(tmp_path / "nothing"):
        pass


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.symlink_to("/etc/passwd"), "is a symbolic link"),
        (os.mkfifo, "is not a plain file"),
    ],
)
def test_links_and_devices_in_a_folder_are_refused(make: Callable[[Path], object], told: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    make(tmp_path / "deep" / "card.md")
    with pytest.raises(BundleInvalid, match=told):
        check_folder(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.PT", "a/state.pkl", "optimizer.pth", "last.ckpt"])
def test_a_pickle_in_a_folder_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"\x80\x04N.")
    with pytest.raises(BundleInvalid, match="is a pickle, which can run code"):
        check_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00.", b"PK\x03\x04" + b"\0" * 99])
def test_a_bundle_whose_weights_are_something_else_is_refused(content: bytes, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "b")
    (tmp_path / "b/model.safetensors").write_bytes(content)
    (tmp_path / "b/digest").write_text(compute_digest(tmp_path / "b"))
    with pytest.raises(BundleInvalid, match="under the name of safetensors"):
        open_bundle(tmp_path / "b")


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_a_bundle_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "b")
    (tmp_path / "b" / name).unlink()
    (tmp_path / "b" / name).symlink_to(folder / name)
    with pytest.raises(BundleInvalid, match=f"{name} is not a file"):
        open_bundle(tmp_path / "b")


@pytest.fixture(scope="module")
def spare(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(folder, tmp_path_factory.mktemp("spare") / "b")


@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
@example(DIGEST, 0.995, 0)  # the newline becomes another blank
@settings(max_examples=200, deadline=None)
def test_any_one_bit_changed_is_refused(spare: Path, name: str, place: float, bit: int) -> None:
    path = spare / name
    content = path.read_bytes()
    changed = bytearray(content)
    changed[int(place * len(content))] ^= 1 << bit
    path.write_bytes(changed)
    try:
        with pytest.raises(DigestMismatch if name != DIGEST else DialogueError):
            open_bundle(spare)
    finally:
        path.write_bytes(content)
