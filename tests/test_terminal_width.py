"""What the command prints fits terminals of 60, 80 and 200 columns, with every figure whole."""

import re

import numpy as np
import pytest

from mllosses_jax._core.text import broken
from mllosses_jax._core.text_table import NARROW_NAME, aligned
from mllosses_jax.catalogue import CATALOGUE
from mllosses_jax.cli.console import WIDEST, width
from mllosses_jax.cli.main import main

WIDTHS = 60, 80, 200
LONG = "a_label_whose_name_is_longer_than_any_column(of=this, table=1)"


@pytest.fixture(params=WIDTHS)
def columns(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


@pytest.fixture
def printed(capsys):
    """Runs a command and returns its lines."""

    def run(*arguments):
        assert main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out.splitlines()

    return run


def test_the_width_is_that_of_the_terminal_and_80_in_a_pipe(monkeypatch, capfd):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert width() == 80  # the tests' output is no terminal
    for given, taken in (("132", 132), ("20", 60), ("many", 80)):
        monkeypatch.setenv("COLUMNS", given)
        assert width() == taken


@pytest.mark.parametrize("count", [1, 5, 40])
def test_a_table_keeps_every_cell_whole_and_in_its_column(count, columns):
    generator = np.random.default_rng(count)
    heading = ["loss", *(f"metric\n{k}" for k in range(count))]
    names = [f"loss_{row}" + "_with_a_long_name" * row for row in range(9)]
    rows = [
        [name, *(f"{value:.3f} +\n.1-{value:.2f}" for value in generator.normal(0, 99, count))]
        for name in names
    ]
    lines = aligned(heading, rows, columns)
    assert max(map(len, lines)) <= columns
    blocks = "\n".join(lines).split("\n\n")
    assert len(blocks) == 1 or len(max(blocks[0].splitlines(), key=len)) > columns - 20
    parts = [part for name in names for part in broken(name, max(NARROW_NAME, columns // 4))]
    found = {}  # the words below each heading, by the place where they end
    for block in blocks:
        first, second, *below = block.splitlines()
        ends = [match.end() for match in re.finditer(r"\d+", second)]
        assert len(re.findall("metric", first)) == len(ends)
        start = max(map(len, parts))
        for end in ends:
            number = re.search(r"\d+$", second[:end])[0]
            found[int(number)] = [line[start:end].strip() for line in below]
            start = end
    for k in range(count):
        expected = [part for row in rows for part in row[k + 1].split("\n")]
        assert [cell for cell in found[k] if cell] == expected
    for block in blocks:
        beside = [line[: max(map(len, parts))].rstrip() for line in block.splitlines()[2:]]
        assert [part for part in beside if part] == parts


def test_columns_stand_closer_only_if_the_table_then_has_fewer_blocks():
    heading, rows = ["a", "b", "c"], [["x", "12345", "12345"]]
    assert aligned(heading, rows, 15)[1] == "x  12345  12345"
    assert aligned(heading, rows, 14)[1] == "x 12345 12345"
    assert aligned(heading, rows, 12) == ["a      b", "x  12345", "", "a      c", "x  12345"]


@pytest.mark.parametrize(
    ("name", "length", "lines"),
    [
        ("zlpr_loss", 18, ["zlpr_loss"]),
        ("", 18, [""]),
        ("(logistic regression)", 18, ["(logistic", "regression)"]),
        ("asymmetric_loss+0.5*dice_loss", 18, ["asymmetric_loss", "+0.5*dice_loss"]),
        ("f(a=1, b=2, c=3)", 12, ["f(a=1, b=2,", "c=3)"]),
        ("x" * 7, 3, ["xxx", "xxx", "x"]),
        ("a  b", 2, ["a", "b"]),
    ],
)
def test_names_are_broken_where_they_have_parts(name, length, lines):
    assert broken(name, length) == lines


def test_losses_are_listed_and_described(columns, printed):
    for arguments in (["list"], *(["describe", entry.name] for entry in CATALOGUE)):
        lines = printed(*arguments)
        assert max(map(len, lines)) <= min(columns, WIDEST), arguments
    text = " ".join(" ".join(printed("list")).split())
    assert all(f"{entry.name} {entry.summary}" in text for entry in CATALOGUE)


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder, generator = tmp_path_factory.mktemp("width"), np.random.default_rng(0)
    labels = generator.random((60, 12)) < 0.4
    names = np.array([f"{LONG}{k}" for k in range(12)])
    x = labels + generator.normal(size=labels.shape)
    content = {"labels": labels, "label_names": names, "inputs": "logits"}
    np.savez(folder / "scores.npz", scores=x, **content)
    np.savez(folder / "data.npz", X_train=x, Y_train=labels, label_names=names)
    return folder


def test_scores_are_evaluated_tuned_and_calibrated(columns, scores, printed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, arguments in enumerate(
        (["evaluate", "--per-label"], ["tune", "--out", "t.json"], ["calibrate", "--out", "c.json"])
    ):
        lines = printed(arguments[0], scores / "scores.npz", *arguments[1:])
        assert max(map(len, lines)) <= columns, arguments
        figures = [line for line in lines if re.search(r"\d\.\d{4}", line)]
        assert len(figures) >= (20, 12, 5)[number]
        assert all(re.fullmatch(r"[^.]*( +(n/a|[-+]?[\d.]+(e-\d\d)?|to))+", x) for x in figures)


def test_data_and_the_machine_are_described(columns, scores, printed, monkeypatch):
    monkeypatch.chdir(scores)
    *lines, command = printed("check", "data.npz")
    assert max(map(len, lines)) <= columns
    assert command.startswith("mllosses compare data.npz --losses ")  # to copy, in one line
    long = [line for line in printed("doctor") if len(line) > min(columns, WIDEST)]
    assert all(re.fullmatch(r" +/\S+", line) for line in long)  # a path is not cut
