"""Broken thresholds and calibrators, which the commands write and read."""

import json

from broken_files import DEEP, DIGITS, NAMES

THRESHOLDS, CALIBRATOR = "mllosses_jax thresholds 1", "mllosses_jax calibrator 1"


def _label(**changed):
    row = {"threshold": 0.5, "std": 0.1, "low": 0.4, "high": 0.6, "f": 0.5, "baseline_f": 0.4}
    return row | {"positives": 9} | changed


def _threshold_file(**changed):
    gain = {"tuned": 0.5, "baseline": 0.4, "low": 0.0, "high": 0.2}
    content = {
        "format": THRESHOLDS,
        "dtype": "float64",
        "settings": {"inputs": "logits", "baseline": 0.0, "beta": 1.0, "folds": 5, "seed": 0},
        "macro": gain,
        "micro": gain,
        "labels": {name: _label() for name in NAMES},
    }
    return content | changed


def _json_damage(sound):
    """Yields JSON files that are broken in ways common to all kinds."""
    text = json.dumps(sound)
    name = sound["format"]
    yield "empty", ""
    yield "text", "thresholds"
    yield "list", "[1]"
    yield "null", "null"
    yield "other-format", '{"format": "other"}'
    yield "bare", f'{{"format": "{name}"}}'
    yield "cut", text[:-9]
    yield "binary", bytes(range(256))
    yield "utf16", text.encode("utf-16")
    yield "deep-lists", "[" * DEEP + "]" * DEEP
    yield "deep-objects", '{"a":' * DEEP + "1" + "}" * DEEP
    yield "deep-labels", text.replace('"labels": ', '"labels": ' + "[" * DEEP, 1)
    yield "digits", text.replace(": 0.5", f": {DIGITS}")
    yield "name-twice", text.replace('"sun"', '"sea"')
    yield "surrogate", text.replace('"sun"', '"\\ud800"')
    yield "nameless", text.replace('"sun"', '""')
    for labels in ([], {}, None, 3, "abc", [1], {"sea": 1}, {"sea": None}, {"sea": []}):
        yield f"labels-{labels!r}".replace("/", "_"), json.dumps(sound | {"labels": labels})


def thresholds():
    sound = _threshold_file()
    yield from _json_damage(sound)
    text = json.dumps(sound)
    for value in (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        '"nan"',
        "true",
        "null",
        "[0.5]",
        "{}",
        '"0.5"',
        '"high"',
        "1e400",
    ):
        yield f"threshold-{value}", text.replace('"threshold": 0.5', f'"threshold": {value}')
    for dtype in ("bool", "int8", "complex128", "O", "U3", "float16", "nonsense", 3, None, [], {}):
        yield f"dtype-{dtype}", json.dumps(_threshold_file(dtype=dtype))
    single = _threshold_file(
        dtype="float32", labels={name: _label(threshold=1e300) for name in NAMES}
    )
    yield "beyond-float32", json.dumps(single)
    for settings in (None, [], 3, {"inputs": "margins"}, {"inputs": ["logits"]}, {"inputs": {}}):
        yield f"settings-{settings!r}", json.dumps(_threshold_file(settings=settings))
    for gain in (None, [], 3, {}, {"tuned": 1}, {"tuned": [], "baseline": 0, "low": 0, "high": 0}):
        yield f"macro-{gain!r}", json.dumps(_threshold_file(macro=gain))
    for field, value in (
        ("std", -1), ("f", 1.5), ("f", "nan"), ("baseline_f", -0.5), ("positives", -1),
        ("positives", 1.5), ("positives", 10**30), ("positives", True), ("low", 9), ("low", None),
        ("high", [1]), ("std", {}),
    ):  # fmt: skip
        labels = {name: _label(**{field: value}) for name in NAMES}
        yield f"{field}-{value!r}", json.dumps(_threshold_file(labels=labels))
    labels = {name: {**_label(), "colour": 1} for name in NAMES}
    yield "more", json.dumps(_threshold_file(labels=labels))
    labels = {name: _label() for name in (*NAMES[:2], "fog")}
    yield "other-labels", json.dumps(_threshold_file(labels=labels))
    of_probabilities = _threshold_file(settings={"inputs": "probabilities", "baseline": 0.5})
    yield "probabilities", json.dumps(of_probabilities)


def calibrator(kind="affine", row=None, **changed):
    row = {"slope": 1.0, "bias": 0.5} if row is None else row
    content = {"format": CALIBRATOR, "calibrator": kind, "labels": dict.fromkeys(NAMES, row)}
    return content | changed


def calibrators():
    yield from _json_damage(calibrator())
    for kind in (None, 3, [], "platt", {}):
        yield f"kind-{kind!r}", json.dumps(calibrator(kind))
    for value in ("NaN", "Infinity", "1e999", "1e300", "true", "null", "[1.0]", '"1.0"', "{}"):
        text = json.dumps(calibrator())
        yield f"slope-{value}", text.replace('"slope": 1.0', f'"slope": {value}')
    yield "no-bias", json.dumps(calibrator(row={"slope": 1.0}))
    yield "more", json.dumps(calibrator(row={"slope": 1.0, "bias": 0.0, "colour": 1}))
    yield "all-and-labels", json.dumps(calibrator(all={"slope": 1.0, "bias": 0.0}))
    for shared in (None, [], 3, {}, {"slope": [1.0], "bias": 0.0}):
        content = calibrator(all=shared)
        del content["labels"]
        yield f"all-{shared!r}", json.dumps(content)
    yield "base-of-affine", json.dumps(calibrator(base=calibrator()))
    yield "beta", json.dumps(calibrator("beta", {"a": 1.0, "b": float("nan"), "c": 0.0}))
    curve = {"knots": [0.0, 1.0], "values": [0.2, 0.8], "weight": 0.5}
    for name, changed in {
        "falling-knots": {"knots": [1.0, 0.0]},
        "falling-values": {"values": [0.8, 0.2]},
        "value": {"values": [0.2, 1.8]},
        "negative": {"values": [-0.2, 0.8]},
        "weight": {"weight": 1.5},
        "weights": {"weight": [0.5, 0.5]},
        "lengths": {"values": [0.2]},
        "none": {"knots": [], "values": []},
        "nested": {"knots": [[0.0, 1.0]], "values": [[0.2, 0.8]]},
        "number": {"knots": 0.0, "values": 0.5},
        "words": {"values": ["a", "b"]},
        "text": {"knots": "ab"},
        "large": {"knots": [0.0, 1e300]},
    }.items():
        yield f"curve-{name}", json.dumps(calibrator("isotonic", curve | changed))
    base = {"calibrator": "isotonic", "all": curve}
    for name, changed in {
        "null": None,
        "list": [],
        "kind": {"calibrator": "affine", "all": {"slope": 1.0, "bias": 0.0}},
        "broken": {"calibrator": "isotonic", "all": curve | {"values": [0.2, 1.8]}},
        "of-base": {**base, "base": {**base, "base": base}},
    }.items():
        yield f"base-{name}", json.dumps(calibrator("isotonic", curve, base=changed))
