"""Label names: in files, on a terminal, in reports, and in thresholds and calibrators."""

import io
import json

import numpy as np
import pytest

from mllosses_jax import calibration
from mllosses_jax._core.text import cut, printable, shown
from mllosses_jax.cli.console import grid, progress, say
from mllosses_jax.cli.main import main
from mllosses_jax.compare import report
from mllosses_jax.data import DataError, Dataset, load
from mllosses_jax.data.scores import read_scores

NAMES = ("sea", "sun", "sand")
LABELS = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0]])
SCORES = np.array([[0.5, 1, -2], [3, 4, 5], [-1, 0, 1]])


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["", "\ud800", "a\udfff"])
def test_names_that_no_file_can_hold(name, tmp_path):
    names = np.array(["sea", name, "sand"])
    x = np.ones((3, 2))
    with pytest.raises(DataError, match="label name"):
        Dataset(name="a", label_names=tuple(names.tolist()), x_train=x, y_train=LABELS)
    np.savez(tmp_path / "a.npz", X_train=x, Y_train=LABELS, label_names=names)
    with pytest.raises(DataError, match="label name"):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "x.npz", SCORES, label_names=names)
    with pytest.raises(DataError, match="label"):
        read_scores(tmp_path / "x.npz", inputs="logits")
    labels = {each: {"slope": 1.0, "bias": 0.0} for each in names.tolist()}
    with pytest.raises(ValueError, match="labels must have names of whole characters"):
        calibration.from_dict({"calibrator": "affine", "labels": labels}, ["sea"])


def test_a_data_set_whose_file_name_is_not_text(tmp_path):
    path = tmp_path / "a\udcff.csv"
    try:
        write(path, "f,label:a\n1,0\n2,1\n")
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system has no such names")
    assert load(path).name == "a?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("topic:book:fiction", "topic:book:fiction"),
        ("[red]sea[/red]", "[red]sea[/red]"),
        ("\x1b[31msea", r"\x1b[31msea"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x9b31m", r"\x9b31m"),
        ("naïve 海 🏖️", "naïve 海 🏖️"),
        ("\u202eaes", r"\u202eaes"),
        ("\ud800", r"\ud800"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_names_on_a_terminal(text, expected, capsys):
    assert printable(text) == expected
    assert grid(["label"], [[text]])[1] == expected
    say(f"{text}\nend")
    shown_text = printable(text, keep="\n")
    assert capsys.readouterr().out == f"{shown_text}\nend\n"
    assert len(cut("x" * 1000)) < 130
    assert len(shown(["x" * 1000] * 1000)) < 70


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_text_as_it_is(terminal, capsys, monkeypatch):
    from rich.console import Console

    text = "training: a(b=':book:', c=[0.5, 1], d='[red]x')"
    stream = io.StringIO()
    monkeypatch.setattr("rich.console.Console.file", stream)
    monkeypatch.setattr(Console, "is_terminal", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    with progress() as show:
        show(0, 2, text)
    assert text in stream.getvalue()


def test_names_in_the_output_of_the_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    labels = generator.random((40, 3)) < 0.5
    names = np.array(["sea\x1b[31m", "topic:book:fiction", "[red]a\nb"])
    scores = {"scores": generator.normal(size=labels.shape), "labels": labels}
    np.savez("x.npz", **scores, label_names=names, inputs="logits")
    np.savez("d.npz", X_train=scores["scores"], Y_train=labels, label_names=names)
    for command in (["evaluate", "x.npz", "--per-label"], ["tune", "x.npz"], ["check", "d.npz"]):
        assert main(command) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        for name in (r"sea\x1b[31m", "topic:book:fiction", r"[red]a\nb"):
            assert name in out
    assert main(["check", "x\x1b[31m.csv"]) == 2
    assert capsys.readouterr().err.startswith(r"mllosses: x\x1b[31m.csv: no such file")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a\n", r"a\n", "b"], [r"a\n", r"a\n (label)", "b"]),
        (["micro avg", "micro avg (label)"], ["micro avg (label)", "micro avg (label) (label)"]),
        (["topic:book:x", "\x1b[0m"], ["topic:book:x", r"\x1b[0m"]),
    ],
)
def test_names_in_the_report_of_a_comparison_stay_apart(names, expected):
    assert report._shown_names(names) == expected


# Thresholds and calibrators with label names, and scores without them.


def test_names_are_asked_for_where_scores_have_none(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    labels = generator.random((40, 3)) < 0.5
    x = generator.normal(size=labels.shape) + labels
    np.savez("x.npz", scores=x, labels=labels, label_names=np.array(NAMES), inputs="logits")
    np.savez("bare.npz", scores=x, labels=labels, inputs="logits")
    np.savez("others.npz", scores=x, labels=labels, label_names=np.array(["a", "b", "c"]),
             inputs="logits")  # fmt: skip
    assert main(["tune", "x.npz"]) == 0
    assert main(["calibrate", "x.npz"]) == 0
    capsys.readouterr()
    for file, words, other in (
        ("bare.npz", "the scores have no label names; give them", "again"),
        ("others.npz", "tune them again for these labels", "give them"),
    ):
        assert main(["evaluate", file, "--thresholds", "thresholds.json"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("mllosses: thresholds.json: ")
        assert words in error
        assert other not in error
    for file, words in (
        ("bare.npz", "the scores have no label names; give them"),
        ("others.npz", "both need the same label names"),
    ):
        assert main(["calibrate", file, "--apply", "calibrator.json"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("mllosses: calibrator.json must hold a calibrator of these labels")
        assert words in error


@pytest.mark.parametrize(
    ("field", "value"),
    [("slope", float("nan")), ("slope", 1e300), ("slope", True), ("bias", "1"), ("bias", [1.0])],
)
def test_fields_of_a_calibrator_are_named(field, value):
    row = {"slope": 1.0, "bias": 0.0, field: value}
    with pytest.raises(
        ValueError, match=rf"^labels\['sea'\]\.{field} must be a finite number, got"
    ):
        calibration.from_dict({"calibrator": "affine", "labels": {"sea": row}}, ["sea"])


def test_a_calibrator_that_is_saved_is_read(tmp_path):
    """Curves of one knot, with steps, and with 0 and 1 at their ends are valid."""
    curve = {"knots": [-1.0, 0.0, 0.0, 2.0], "values": [0.0, 0.25, 0.5, 1.0], "weight": 1.0}
    single = {"knots": [0.5], "values": [0.25], "weight": 0.0}
    content = {"calibrator": "isotonic", "labels": {"sea": curve, "sun": single}}
    found = calibration.from_dict(content, ["sun", "sea"])
    assert calibration.to_dict(found, ["sun", "sea"])["labels"] == {"sun": single, "sea": curve}
    (tmp_path / "c.json").write_text(json.dumps({"format": "mllosses_jax calibrator 1", **content}))
    calibration.load(tmp_path / "c.json", ["sea"])
