"""The arrays of .npy and .npz files, each measured by its header before it is read."""

from __future__ import annotations

import contextlib
import functools
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mllosses_jax._core.memory import available_memory
from mllosses_jax._core.text import shown
from mllosses_jax.data.errors import DataError

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # first bytes of an archive and of an empty one
_SHRINKS = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}  # the highest possible ratio


class Header(NamedTuple):
    """The shape and dtype of an array, from the header of its file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class _Member(NamedTuple):
    """Where an array is: what opens it, its length in bytes, and the error if it is damaged."""

    open: Callable[[], AbstractContextManager[IO[bytes]]]
    size: int
    damaged: DataError


class Arrays(Mapping[str, NDArray[Any]]):
    """The arrays of a file by name, which are read when they are asked for.

    The arrays that were read may take half of the memory that was available at the beginning,
    which leaves room for one copy of them.
    """

    def __init__(self, members: Mapping[str, _Member]) -> None:
        self._members = members
        self._room = available_memory() // 2

    def __contains__(self, name: object) -> bool:
        return name in self._members  # The mapping's own test would read the array.

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def header(self, name: str) -> Header:
        """Returns the shape and dtype of an array without reading it."""
        with self._opened(name) as file:
            return _header(file, self._members[name].size, name)

    def needed(self, name: str) -> NDArray[Any]:
        """Returns an array, or raises if the file lacks it."""
        if name not in self:
            raise no_array(name, self)
        return self[name]

    def label_names(self) -> tuple[str, ...] | None:
        """Returns the entries of the array label_names, or None if the file lacks it."""
        if "label_names" not in self:
            return None
        shape, dtype = self.header("label_names")
        if len(shape) != 1 or dtype.kind != "U":
            raise DataError("label_names must be a vector of strings; save it as one")
        return tuple(self["label_names"].tolist())

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._members:
            raise KeyError(name)
        shape, dtype = self.header(name)
        size = math.prod(shape) * dtype.itemsize
        if size > self._room:
            raise DataError(
                f"array {name} takes {size / 2**30:.1f} GiB, more than half of the memory that is "
                f"left ({2 * self._room / 2**30:.1f} GiB); keep fewer rows or columns"
            )
        self._room -= size
        with self._opened(name) as file:
            return np.asarray(npy.read_array(file, allow_pickle=False))

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        member = self._members[name]
        try:
            with member.open() as file:
                yield file
        except (DataError, MemoryError):
            raise
        except Exception:  # Reading a damaged file can raise anything.
            raise member.damaged from None


def no_array(name: str, others: Iterable[str]) -> DataError:
    """Returns the error for a file that lacks an array."""
    found = ", ".join(list(others)[:8]) or "none"
    return DataError(f"no array {name}; found: {found}; save it under this name")


@contextlib.contextmanager
def open_arrays(path: Path, alone: str = "") -> Iterator[Arrays]:
    """Opens an archive or, if `alone` is given as its name, a file with a single array.

    Raises:
        DataError: the file is neither.
    """
    suffix = path.suffix.lower()
    kind, save = ("an .npz archive", "savez") if suffix == ".npz" else (f"a {suffix} file", "save")
    neither = DataError(f"is not {kind}, or is cut short; write it again with numpy.{save}")
    with path.open("rb") as file:
        begins = file.read(len(npy.MAGIC_PREFIX))
        if begins == npy.MAGIC_PREFIX and alone:
            yield Arrays({alone: _Member(lambda: _again(file), path.stat().st_size, neither)})
        elif begins.startswith(_ZIP):
            try:
                archive = zipfile.ZipFile(file)
            except Exception:  # A damaged archive can raise anything.
                raise neither from None
            with archive:
                yield Arrays(_members(archive))
        else:
            raise neither


def _again(file: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    file.seek(0)
    return contextlib.nullcontext(file)


def _members(archive: zipfile.ZipFile) -> dict[str, _Member]:
    members: dict[str, _Member] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name == info.filename:
            continue  # not an array
        if name in members:
            raise DataError(f"array {shown(name)} occurs twice; write the file again")
        damaged = DataError(f"array {name} is damaged; write the file again")
        members[name] = _Member(
            functools.partial(_unpacked, archive, info), info.file_size, damaged
        )
    return members


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.flag_bits & 1:
        raise DataError(f"{info.filename} is encrypted; write the file with numpy.savez")
    shrinks = _SHRINKS.get(info.compress_type)
    if shrinks is not None and info.file_size > shrinks * info.compress_size:
        raise DataError(f"{info.filename} is damaged; write the file again")
    return archive.open(info)


def _header(file: IO[bytes], length: int, name: str) -> Header:
    """Returns the header of an array; raises ValueError if it does not fit the file's length."""
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): npy.read_array_header_1_0,
        (2, 0): npy.read_array_header_2_0,
    }
    version = npy.read_magic(file)
    if version not in readers:
        raise DataError(f"array {name} has format {version}; save plain numbers or strings")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise DataError(f"{name} holds pickled objects; save it as an array of numbers or strings")
    size = math.prod(shape) * dtype.itemsize
    if size != length - file.tell() or not dtype.itemsize or any(n < 0 for n in shape):
        raise ValueError("the header does not match the data that follow")
    return Header(tuple(shape), dtype)
