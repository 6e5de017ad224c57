"""What files say is what is read: names, numbers, unknown labels; and names on a terminal."""

import io
import json

import numpy as np
import pytest

from mllosses_jax import calibration, data
from mllosses_jax._core.memory import available_memory
from mllosses_jax._core.text import cut, printable, shown
from mllosses_jax.cli import argument_types
from mllosses_jax.cli.console import grid, progress, say
from mllosses_jax.cli.main import main
from mllosses_jax.cli.score_files import read_scores, read_scores_and_labels
from mllosses_jax.compare import report
from mllosses_jax.data import DataError, Dataset, load
from mllosses_jax.data._text import is_unknown, to_float, to_whole

NAMES = ("sea", "sun", "sand")
LABELS = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0]])
SCORES = np.array([[0.5, 1, -2], [3, 4, 5], [-1, 0, 1]])


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def table(names, rows):
    return "\n".join(",".join(map(str, row)) for row in (names, *rows)) + "\n"


# The header of a CSV file.


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ("0,1,2", "0,1,2"),  # what our own writers use
        ("0,1,2", "sea,sun,sand"),
        ("7,2021,10", "2021,7,10"),  # the labels' names
        ("sea,0.5,sand", "sea,sand,0.5"),
    ],
)
def test_headers_that_are_names(scores, labels, tmp_path):
    given = write(tmp_path / "x.csv", table(scores.split(","), SCORES))
    truth = write(tmp_path / "y.csv", table(labels.split(","), LABELS))
    if set(scores.split(",")) != set(labels.split(",")):
        truth = tmp_path / "y.npy"
        np.save(truth, LABELS)
    found = read_scores_and_labels(given, truth, inputs="logits")
    assert found.label_names == tuple(scores.split(","))
    np.testing.assert_array_equal(found.scores, SCORES)
    order = range(3)
    if truth.suffix == ".csv":
        order = [labels.split(",").index(name) for name in scores.split(",")]
    np.testing.assert_array_equal(found.labels, LABELS[:, order])


@pytest.mark.parametrize(
    "header", ["0.93,1e-05,0.2", "0,1,0.2", "7,2021,10", "2,1,0", "1,2,3", "-0.5,nan,NA", "inf,1,2"]
)
def test_a_header_that_is_a_row_of_scores(header, tmp_path):
    path = write(tmp_path / "x.csv", table(header.split(","), SCORES))
    np.savez(tmp_path / "y.npz", LABELS, label_names=np.array(NAMES))
    for read in (
        lambda: read_scores_and_labels(path, tmp_path / "y.npz", inputs="logits"),
        lambda: read_scores(path, inputs="logits"),
    ):
        with pytest.raises(DataError, match=r"x\.csv, line 1: the header reads like a row of sc"):
            read()


@pytest.mark.parametrize("header", ["0,1,?", "1,0,NA", "true,0,?", "1.0,0.0,nan"])
def test_a_header_that_is_a_row_of_labels(header, tmp_path):
    np.save(tmp_path / "x.npy", SCORES)
    path = write(tmp_path / "y.csv", table(header.split(","), LABELS))
    with pytest.raises(DataError, match=r"y\.csv, line 1: the header reads like a row of labels"):
        read_scores_and_labels(tmp_path / "x.npy", path, inputs="logits")


@pytest.mark.parametrize("header", ["0.93,1e-05,1,0", "5,7,0,1", "5,?,0,1", "3,2,1,0"])
def test_a_header_that_is_a_row_of_data(header, tmp_path):
    path = write(tmp_path / "a.csv", table(header.split(","), [(1, 2, 0, 1)] * 3))
    with pytest.raises(DataError, match=r"line 1: the header reads like a row of numbers"):
        load(path, labels=2)
    # Whoever names the labels has seen the header.
    names = header.split(",")[2:]
    assert load(path, labels=names).label_names == tuple(names)
    path = write(tmp_path / "b.csv", table("0123", [(1, 2, 0, 1)] * 3))
    assert load(path, labels=2).label_names == ("2", "3")


@pytest.mark.parametrize("header", ["a,label:,label:b", "a,label_ ,label:b", ",label:a,label:b"])
def test_columns_without_a_name(header, tmp_path):
    path = write(tmp_path / "a.csv", header + "\n1,0,1\n1,1,0\n")
    with pytest.raises(DataError, match=r"line 1: .* has no name; give it one"):
        load(path)


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")]
)
@pytest.mark.parametrize("cells", [("1", "0", "1"), ("1,5", "0", "1")])
def test_a_separator_that_is_no_comma_is_named(separator, name, cells, tmp_path):
    text = separator.join(("label:b", "a", "label:c")) + "\n" + separator.join(cells) + "\n"
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(DataError, match=f"line 1: columns are separated by {name}; separate col"):
        load(path)
    with pytest.raises(DataError, match=f"columns are separated by {name}"):
        read_scores(path, inputs="logits")


def test_a_label_whose_name_has_a_semicolon(tmp_path):
    path = write(tmp_path / "a.csv", "sea;sun\n0.5\n1\n")
    assert read_scores(path, inputs="logits").label_names == ("sea;sun",)


# Numbers.


@pytest.mark.parametrize("text", ["2021_05", "1_0", "1_0.5", "1e1_0", "١٢", "½", "１", "0x10", ""])
def test_what_is_no_number(text, tmp_path):
    with pytest.raises(ValueError, match=r"number|convert"):
        to_float(text)
    assert to_whole(text) is None
    for read in (argument_types.finite, argument_types.positive, argument_types.seed):
        with pytest.raises(argument_types.argparse.ArgumentTypeError, match="must be"):
            read(text)
    if not text:
        return
    label_last = write(tmp_path / "a.csv", f"a,label:b\n1,0\n{text},1\n")
    with pytest.raises(DataError, match=r"line 3: feature 'a' is .*, not a number"):
        load(label_last)
    rows = write(tmp_path / "a.svm", f"1 1:1\n1 1:{text}\n")
    with pytest.raises(DataError, match=r"line 2: feature '1' is .*, not a number"):
        load(rows)
    scores = write(tmp_path / "x.csv", f"sea,sun\n1,2\n{text},2\n")
    with pytest.raises(DataError, match=r"line 3: score 'sea' is .*, not a number"):
        read_scores(scores, inputs="logits")


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 19, "1" + "0" * 30])
def test_whole_numbers_beyond_any_array(digits, tmp_path):
    assert to_whole(digits) is None
    assert to_whole("0" * 5000 + "12") == 12
    for read in (argument_types.positive, argument_types.seed, argument_types.columns):
        with pytest.raises(argument_types.argparse.ArgumentTypeError, match="2147483647"):
            read(digits)
    for line in (f"{digits} 1:1", f"1 {digits}:1"):
        with pytest.raises(DataError, match=r"a\.svm, line 1: .{10,300}$"):
            load(write(tmp_path / "a.svm", line + "\n"))


def test_numbers_that_are_numbers():
    for text, value in (("1e3", 1000.0), (" 2 ", 2.0), ("-.5", -0.5), ("+7", 7.0)):
        assert to_float(text) == value
    assert [to_whole(text) for text in ("0", "007", "2147483648")] == [0, 7, 2**31]
    assert argument_types.positive(str(2**31 - 1)) == 2**31 - 1


@pytest.mark.parametrize(
    "flag", [["--min-positives", str(10**30)], ["--folds", "1_0"], ["--seed", "9" * 5000]]
)
def test_flags_beyond_any_number(flag, capsys):
    assert main(["tune", "x.npz", *flag]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert flag[0] in error
    assert len(error) < 300


# Unknown labels: one rule.


@pytest.mark.parametrize("word", ["", "?", "nan", "NaN", "NA", "na", " NA "])
def test_unknown_labels_are_the_same_everywhere(word, tmp_path):
    assert is_unknown(word)
    expected = [[True, False], [True, True]]
    text = write(tmp_path / "a.csv", f"f,label:a,label:b\n1,1,{word}\n2,0,1\n")
    assert load(text).mask_train.tolist() == expected
    if word.strip():
        arff = "@relation r\n@attribute a {0,1}\n@attribute b {0,1}\n@attribute f real\n@data\n"
        text = write(tmp_path / "a.arff", f"{arff}1,{word},1\n0,1,2\n")
        assert load(text, labels=["a", "b"]).mask_train.tolist() == expected
    np.save(tmp_path / "x.npy", SCORES[:2, :2])
    text = write(tmp_path / "y.csv", f"a,b\n1,{word}\n0,1\n")
    found = read_scores_and_labels(tmp_path / "x.npy", text, inputs="logits")
    assert found.where.tolist() == expected
    scores = write(tmp_path / "x.csv", f"a,b\n1,{word}\n0,1\n")  # an unknown label needs no score
    found = read_scores_and_labels(scores, text, inputs="logits")
    assert found.where.tolist() == expected


@pytest.mark.parametrize("masked", [False, True])
def test_nan_is_an_unknown_label_in_arrays(masked, tmp_path):
    labels = np.array([[1, np.nan, 0], [np.nan, 1, 1]])
    mask = {"mask_train": np.array([[1, 1, 0], [1, 1, 1]])} if masked else {}
    np.savez(tmp_path / "a.npz", X_train=np.ones((2, 1)), Y_train=labels, **mask)
    found = load(tmp_path / "a.npz")
    assert found.mask_train.tolist() == [[True, False, not masked], [False, True, True]]
    assert found.y_train.tolist() == [[True, False, False], [False, True, True]]
    pieces = {
        "Y_train_indptr": [0, 2, 4],
        "Y_train_indices": [0, 1, 1, 2],
        "Y_train_data": [1, np.nan, 1, 1],
        "Y_train_shape": [2, 3],
    }
    np.savez(tmp_path / "b.npz", X_train=np.ones((2, 1)), **pieces)
    found = load(tmp_path / "b.npz")
    assert found.mask_train.tolist() == [[True, False, True], [True, True, True]]
    assert found.y_train.tolist() == [[True, False, False], [False, True, True]]


# Names.


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


def test_a_data_set_whose_file_has_no_text_as_name(tmp_path):
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


# Thresholds and calibrators of names, and scores without.


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
        ("bare.npz", "the scores have no names of labels; give them some", "anew"),
        ("others.npz", "tune them anew for these labels", "give them some"),
    ):
        assert main(["evaluate", file, "--thresholds", "thresholds.json"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("mllosses: thresholds.json: ")
        assert words in error
        assert other not in error
    for file, words in (
        ("bare.npz", "the scores have no names of labels; give them some"),
        ("others.npz", "it and the scores need the same label names"),
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
    """Curves of one knot, of steps, and with 0 and 1 at their ends are sound."""
    curve = {"knots": [-1.0, 0.0, 0.0, 2.0], "values": [0.0, 0.25, 0.5, 1.0], "weight": 1.0}
    single = {"knots": [0.5], "values": [0.25], "weight": 0.0}
    content = {"calibrator": "isotonic", "labels": {"sea": curve, "sun": single}}
    found = calibration.from_dict(content, ["sun", "sea"])
    assert calibration.to_dict(found, ["sun", "sea"])["labels"] == {"sun": single, "sea": curve}
    (tmp_path / "c.json").write_text(json.dumps({"format": "mllosses_jax calibrator 1", **content}))
    calibration.load(tmp_path / "c.json", ["sea"])


# Arrays of callers, and memory.


def test_sparse_matrices_are_named():
    sparse = pytest.importorskip("scipy.sparse")
    dense = {"x_train": np.ones((3, 2)), "y_train": LABELS, "mask_train": np.ones_like(LABELS)}
    for kind in (sparse.csr_matrix, sparse.coo_array):
        with pytest.raises(ValueError, match=r"y is a sparse c.*; give y\.toarray\(\)"):
            data.split(kind(LABELS), 0.5, seed=0)
        with pytest.raises(ValueError, match=r"mask is a sparse"):
            data.split(LABELS, 0.5, seed=0, mask=kind(LABELS))
        with pytest.raises(ValueError, match=r"features is a sparse"):
            data.standardise(kind(LABELS))
        for name, array in dense.items():
            with pytest.raises(DataError, match=rf"{name} is a sparse .*give {name}\.toarray"):
                Dataset(name="a", label_names=NAMES, **dense | {name: kind(array)})


def test_arrays_that_are_not_used_are_not_read(tmp_path, monkeypatch):
    """Neither a large array beside, nor `inputs` that are features."""
    monkeypatch.setattr("mllosses_jax.data._archive.available_memory", lambda: 10_000)
    large = np.zeros(10**5)
    np.savez(tmp_path / "x.npz", scores=SCORES, inputs=large, labels=LABELS, other=large)
    assert read_scores_and_labels(tmp_path / "x.npz", inputs="logits").scores.shape == (3, 3)
    np.savez(tmp_path / "a.npz", X_train=SCORES, Y_train=LABELS, other=large)
    assert load(tmp_path / "a.npz").x_train.shape == (3, 3)
    np.savez(tmp_path / "b.npz", X_train=large[:, None], Y_train=LABELS)
    with pytest.raises(DataError, match=r"b\.npz: array X_train takes 0\.0 GiB, more than half"):
        load(tmp_path / "b.npz")


def test_memory_is_known():
    assert 2**28 < available_memory() < 2**50


def test_messages_name_options_on_the_command_line(tmp_path, capsys):
    """The library speaks of its arguments."""
    (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n")
    for arguments, words in (
        (["check", str(tmp_path / "data.csv")], "or give --labels with their names"),
        (["check", "mosaics", "--labels", "3"], "leave --labels out"),
        (["check", str(tmp_path)], "is a folder; give the path of a data file"),
        (["evaluate", str(tmp_path)], "is a folder; give the path of a file of scores"),
        (["compare", "mosaics", "--losses", "zlpr"], "did you mean zlpr_loss"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err
