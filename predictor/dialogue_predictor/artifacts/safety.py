"""What may be read at all: plain files and folders, from archives no more than they may hold, and never a pickle.

A pickle runs code when it is read, a link points at somebody else's file, and an archive can name a path outside of its
folder or hold a disk full of nothing. All are refused before a byte of them is used.
"""

import gzip
import io
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, Final

from dialogue_predictor.errors import BundleInvalid, BundleNotFound

PICKLES: Final = frozenset((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"))
ARCHIVES: Final = (".tar", ".tar.gz", ".tgz", ".zip")
MOST_MEMBERS: Final = 256
MOST_HEADER_BYTES: Final = 4096
MOST_RATIO: Final = 20  # weights hardly compress at all
ALWAYS_BYTES: Final = 64 << 20  # that much is no bomb, however small the archive
MOST_BYTES: Final = 64 << 30


@contextmanager
def opened(source: Path) -> Iterator[Path]:
    """The folder `source`, or what is in the archive `source`, for as long as the context lasts.

    Raises BundleNotFound, or BundleInvalid naming what is not allowed in it.
    """
    if source.is_dir():
        yield source
    elif source.is_file() and source.name.endswith(ARCHIVES):
        with TemporaryDirectory(prefix="dialogue-bundle-") as folder:
            yield unpack(source, Path(folder))
    elif source.exists():
        raise BundleInvalid(f"{source} is neither a folder nor one of {', '.join(ARCHIVES)}")
    else:
        raise BundleNotFound(f"no folder {source}")


def check_folder(folder: Path) -> None:
    """Raises BundleNotFound, or BundleInvalid naming a link, a device or a pickle anywhere in the folder."""
    if not folder.is_dir():
        raise BundleNotFound(f"no folder {folder}")
    for parent, folders, files in os.walk(folder):
        for name in sorted((*folders, *files)):
            check_file(Path(parent) / name)


def check_file(path: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise BundleInvalid(f"{path} is a symbolic link; give a copy with the files themselves (cp -rL)")
    if stat.S_ISDIR(mode):
        return
    if not stat.S_ISREG(mode):
        raise BundleInvalid(f"{path} is not a plain file; remove it")
    if path.suffix.lower() in PICKLES:
        raise BundleInvalid(f"{path} is a pickle, which can run code; only safetensors are read, remove it")
    if path.suffix == ".safetensors":
        check_safetensors(path)


def check_safetensors(path: Path) -> None:
    """A safetensors file begins with the length of a JSON object, and that object: a pickle or a zip does not."""
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) < 9 or start[8:] != b"{" or start.startswith(b"PK\x03\x04"):
        kind = "a pickle or an archive" if start[:1] == b"\x80" or start.startswith(b"PK") else "something else"
        raise BundleInvalid(f"{path} is {kind} under the name of safetensors; save the weights again as safetensors")


def unpack(archive: Path, into: Path) -> Path:
    """Unpack into the empty folder `into`; where all is in one folder of the archive, that one is returned."""
    limit = min(MOST_BYTES, max(ALWAYS_BYTES, MOST_RATIO * archive.stat().st_size))
    members = zip_members if archive.name.endswith(".zip") else tar_members
    try:
        for number, (name, content) in enumerate(members(archive, limit), 1):
            if number > MOST_MEMBERS:
                raise BundleInvalid(f"{archive} has more than {MOST_MEMBERS} members")
            target = into / inside(archive, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                shutil.copyfileobj(content, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise BundleInvalid(f"{archive} holds the same path twice: {Path(error.filename).name}") from error
    except TooLarge as error:
        raise BundleInvalid(
            f"{archive} unpacks to more than {limit >> 20} MiB, {MOST_RATIO} times its size: unpack it yourself"
        ) from error
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        gzip.BadGzipFile,
        zlib.error,
        RuntimeError,
        ValueError,
    ) as error:
        raise BundleInvalid(f"{archive} cannot be unpacked: {error}") from error
    entries = list(into.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else into


def inside(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise BundleInvalid(f"{archive}: {name!r} leads out of the folder that it is unpacked to")
    return path


def tar_members(archive: Path, limit: int) -> Iterator[tuple[str, IO[bytes]]]:
    """Every file with its content; headers count against the limit too, as they are read whole."""
    with archive.open("rb") as raw:
        plain = gzip.GzipFile(fileobj=raw) if archive.name.endswith((".gz", ".tgz")) else raw
        with tarfile.open(fileobj=Metered(plain, limit), mode="r|", tarinfo=Member) as tar:
            for member in tar:
                if not (member.isreg() or member.isdir()):
                    raise BundleInvalid(f"{archive}: {member.name!r} is a link or a device; only plain files are read")
                if (content := tar.extractfile(member)) is not None:
                    yield member.name, content
                else:
                    inside(archive, member.name)


def zip_members(archive: Path, limit: int) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as whole:
        if sum(member.file_size for member in whole.infolist()) > limit:
            raise TooLarge
        for member in whole.infolist():
            if member.is_dir():
                inside(archive, member.filename)
                continue
            if (mode := member.external_attr >> 16) and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
                raise BundleInvalid(f"{archive}: {member.filename!r} is a link or a device; only plain files are read")
            with whole.open(member) as content:  # reads no more than the size that was counted above
                yield member.filename, content


class Member(tarfile.TarInfo):
    """Refuses long extended headers: older Pythons search them in quadratic time (CVE-2024-6232)."""

    def _proc_pax(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size > MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"an extended header of {self.size} bytes")
        return super()._proc_pax(archive)  # type: ignore[misc, no-any-return]


class TooLarge(Exception):
    """More bytes than allowed come out of an archive."""


class Metered(io.RawIOBase):
    """Reads at most `limit` bytes from another stream, then raises TooLarge."""

    def __init__(self, source: io.BufferedIOBase, limit: int) -> None:
        self._source, self._left = source, limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._source.read(size if size >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise TooLarge
        return content
