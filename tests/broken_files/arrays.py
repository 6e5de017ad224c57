"""Broken NumPy archives and arrays."""

import functools
import io
import struct
import zipfile
import zlib

import numpy as np

from broken_files import DIGITS, NAMES, ROWS

GIGABYTES = 6


def npy(array):
    """Returns the bytes of an .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def header(text, data=b"\0" * 64, version=(1, 0)):
    """Returns the bytes of an .npy file whose header is this text."""
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin-1") + b"\n" + data


def claims(shape, kind="<f8", order=False):
    """Returns the text of a header that claims a shape and a dtype."""
    return f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"


def archive(members, method=zipfile.ZIP_STORED):
    """Returns the bytes of an archive; a member is an array, or the bytes of its file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, member in members.items():
            content = member if isinstance(member, bytes) else npy(np.asarray(member))
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


@functools.cache
def bomb():
    """Returns an array of 6 GiB, compressed to a few megabytes, and its full size."""
    rows = GIGABYTES * 2**17
    start = header(claims((rows, 1024)), b"")
    zeros = 2**26
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    raw = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(zeros)) + packer.flush(zlib.Z_FULL_FLUSH)  # it can be repeated
    return raw + block * (rows * 8192 // zeros) + packer.flush(), len(start) + rows * 8192


def _sound(first):
    """Returns the arrays of a sound file that contains `first`."""
    labels = np.arange(3 * ROWS).reshape(ROWS, 3) % 2
    named = {"label_names": np.array(NAMES)}
    if first == "X_train":
        return {"X_train": np.ones((ROWS, 2)), "Y_train": labels, **named}
    if first == "scores":
        return {"scores": np.zeros((ROWS, 3)), **named}
    return {"labels": labels, "where": np.ones_like(labels), **named}


def archives(first, second):
    """Yields archives in which one of two arrays is broken."""
    sound = _sound(first)
    kind = sound[second].dtype.str
    whole = archive(sound)
    for name in (first, second):
        rest = {other: array for other, array in sound.items() if other != name}
        right = rest | {name: npy(sound[name])[:-7]}
        yield f"short-{name}", archive(right)
        yield f"claims-{name}", archive(rest | {name: header(claims((10**7, 10**7), kind))})
        yield f"empty-{name}", archive(rest | {name: b""})
        yield f"pickled-{name}", archive(rest | {name: np.array([[{}]], object)})
        yield f"negative-{name}", archive(rest | {name: header(claims((-1, 3), kind))})
        yield f"digits-{name}", archive(rest | {name: header(claims(f"({DIGITS}, 3)", kind))})
        encrypted = bytearray(archive({name: sound[name]} | rest))
        encrypted[6] |= 1
        place = encrypted.index(b"PK\x01\x02")
        encrypted[place + 8] |= 1
        yield f"encrypted-{name}", bytes(encrypted)
    rest = {other: array for other, array in sound.items() if other != first}
    yield "deep", archive(rest | {first: header(claims("(" * 3000 + ")" * 3000))})
    yield "nothing-in-each", archive(rest | {first: header(claims((10**7, 10**7), "<U0"))})
    yield "not-a-header", archive(rest | {first: header("import os")})
    yield "version", archive(rest | {first: header(claims((ROWS, 3)), version=(9, 0))})
    yield "structured", archive(rest | {first: np.zeros((ROWS, 3), [("a", "f8"), ("ü", "f8")])})
    yield "dates", archive(rest | {first: np.zeros((ROWS, 3), "datetime64[s]")})
    yield "complex", archive(rest | {first: np.zeros((ROWS, 3), complex)})
    yield "axes", archive(rest | {first: header(claims((1,) * 70))})
    yield "surrogate", archive(sound | {"label_names": np.array(["sea", "\ud800", "sand"])})
    yield "nameless", archive(sound | {"label_names": np.array(["sea", "", "sand"])})
    yield "twice", archive(sound | {"label_names": np.array(["sea", "sea", "sand"])})
    yield "names-claim", archive(sound | {"label_names": header(claims((10**9,), "<U1000"))})
    yield "names-bytes", archive(sound | {"label_names": np.array([b"a", b"b", b"c"])})
    yield "cut", whole[: len(whole) // 2]
    yield "none", b""
    yield "text", b"PK\x03\x04 not an archive at all"
    yield "method", _with_method(whole, 99)
    yield "flipped", _flipped(whole)
    yield "unpacks-to-gigabytes", _with_bomb(archive(rest), f"{first}.npy".encode())


def _with_method(whole, method):
    changed = bytearray(whole)
    changed[8] = method
    changed[changed.index(b"PK\x01\x02") + 10] = method
    return bytes(changed)


def _flipped(whole):
    changed = bytearray(whole)
    place = changed.index(b"\n", changed.index(b"NUMPY")) + 3  # in the numbers of the first array
    changed[place] ^= 0xFF
    return bytes(changed)


def _with_bomb(whole, name):
    """Returns an archive with one more member, whose end and checksum no reader should reach."""
    raw, length = bomb()
    end = whole.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack("<HII", whole[end + 10 : end + 20])
    directory = whole[start : start + size]
    sizes = struct.pack("<HHQQ", 1, 16, length, len(raw))
    unknown = 2**32 - 1  # `sizes` holds the true ones
    common = struct.pack("<HHHHHI", 45, 0, 8, 0, 33, 0)
    common += struct.pack("<IIHH", unknown, unknown, len(name), len(sizes))
    local = b"PK\x03\x04" + common + name + sizes + raw
    entry = b"PK\x01\x02" + struct.pack("<H", 45) + common
    entry += struct.pack("<HHHII", 0, 0, 0, 0, start) + name + sizes
    tail = struct.pack("<HHHH", 0, 0, count + 1, count + 1)
    tail += struct.pack("<IIH", size + len(entry), start + len(local), 0)
    return whole[:start] + local + directory + entry + b"PK\x05\x06" + tail


def single_arrays():
    """Yields single arrays, which serve as scores and as labels."""
    sound = npy(np.zeros((ROWS, 3)))
    yield "short", sound[:-7]
    yield "long-claim", header(claims((10**7, 10**7)))
    yield "no-size", header(claims((10**7, 10**7), "<U0"))
    yield "claims-rows", header(claims((10**13, 3)))
    yield "negative", header(claims((-40, 3)))
    yield "empty", b""
    yield "magic", b"\x93NUMPY"
    yield "header", header("{'descr': '<f8'}")
    yield "digits", header(claims(f"({DIGITS}, 3)"))
    yield "pickled", npy(np.array([[{}]], object))
    yield "strings", npy(np.full((ROWS, 3), "a"))
    yield "flat", npy(np.zeros(ROWS))
    yield "no-rows", npy(np.zeros((0, 3)))
    yield "complex", npy(np.zeros((ROWS, 3), complex))
    yield "csv", b"sea,sun,sand\n1,0,1\n"


def features():
    """Yields sparse and dense features that cannot be used."""
    sound = _sound("X_train")
    labels = {"Y_train": sound["Y_train"]}
    pieces = {
        "X_train_indptr": np.arange(ROWS + 1),
        "X_train_indices": np.zeros(ROWS, int),
        "X_train_shape": np.array([ROWS, 2]),
    }
    for name, changed in {
        "huge": {"X_train_shape": np.array([ROWS, 10**12])},
        "beyond-int": {"X_train_shape": np.array([ROWS, 2**63], np.uint64)},
        "floats": {"X_train_indices": np.zeros(ROWS)},
        "out-of-range": {"X_train_indices": np.full(ROWS, 2)},
        "falling": {"X_train_indptr": np.arange(ROWS + 1)[::-1]},
        "data": {"X_train_data": np.full(ROWS, np.nan)},
        "words": {"X_train_data": np.full(ROWS, "a")},
        "claims": {"X_train_data": header(claims((10**12,)))},
    }.items():
        yield name, archive(labels | pieces | changed)
    for name, changed in {
        "nan": {"X_train": np.full((ROWS, 2), np.nan)},
        "large": {"X_train": np.full((ROWS, 2), 1e300)},
        "minus-labels": {"Y_train": sound["Y_train"] * 2 - 1},
        "words": {"X_train": np.full((ROWS, 2), "a")},
        "mask": {"mask_train": np.full((ROWS, 3), 2)},
        "rows": {"X_test": np.ones((4, 2)), "Y_test": np.ones((5, 3))},
    }.items():
        yield f"dense-{name}", archive(sound | changed)
