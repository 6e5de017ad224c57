"""What `mllosses compare` takes and refuses, and the commands that describe losses and data."""

import os

import numpy as np
import pytest
from compare_inputs import BASELINE, OTHER, assert_refused, passes, results_of

pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")


def test_force_begins_anew_and_a_csv_gets_a_test_part(here, tmp_path):
    x = np.random.default_rng(1).normal(size=(75, 5))
    labels = (x[:, :4] > [0, 0.3, 0.3, 0]).astype(int)
    rows = [
        ",".join([*(f"{value:.3f}" for value in a), *map(str, b)])
        for a, b in zip(x, labels, strict=True)
    ]
    path = tmp_path / "tiny.csv"
    path.write_text("\n".join(["a,b,c,d,e,up,right,left,down", *rows]) + "\n")
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.json").write_text("mine")
    arguments = ["compare", path, "--labels", "up,right,left,down", "--losses", OTHER, "--out", out]
    assert_refused(here(*arguments), "not the result of a comparison", "--force")
    done = here(*arguments, "--seeds", 1, "--force")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tiny: 60 training rows, 15 test rows, 5 features, 4 labels; ")
    results = results_of(out)
    assert results["results"][OTHER]["map"]["mean"] > 0.9
    assert results["baseline"] == results["recommended"] == OTHER


def test_a_table_with_texts_gaps_and_unknown_labels(here, tmp_path):
    """Semicolons, decimal commas, an index and a dropped column, too."""
    generator = np.random.default_rng(2)
    lines = ["id;size;kind;note;labels"]
    for row in range(75):
        size, kind = generator.normal(), generator.choice(["fish", "bird", "bear"])
        names = "|".join([str(kind), *(["big"] if size > 0 else [])])
        shown = "" if row % 10 == 3 else f"{size:.3f}".replace(".", ",")
        lines.append(f"{row};{shown};{kind};text {row};{'?' if row % 10 == 5 else names}")
    path = tmp_path / "animals.csv"
    path.write_text("\n".join(lines) + "\n")
    arguments = ["compare", path, "--losses", BASELINE, "--seeds", 1, "--out", tmp_path / "out"]
    assert_refused(here(*arguments), "animals.csv, line 1", "'note'", "give --drop with its name")
    done = here(*arguments, "--drop", "note")
    assert done.returncode == 0, done.stderr
    results = results_of(tmp_path / "out")
    card = results["data"]
    assert card["label_names"] == ["bear", "big", "bird", "fish"]
    assert card["features"] == 4
    assert card["columns_left_out"] == ["id", "note"]
    assert card["categories_by_column"] == {"kind": 3}
    assert card["unknown_entries"] > 0
    assert results["results"][BASELINE]["map"]["mean"] > 0.9

    new = tmp_path / "new.csv"  # other separators and columns, and texts that are not known
    new.write_text("kind,size\nbird,1.5\nfish,-1.5\ncat,\n")
    done = here("predict", tmp_path / "out", new)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "labels.csv").read_text().split()[:3] == [
        "bear,big,bird,fish",
        "0,1,1,0",
        "0,0,0,1",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "nowhere.npz"], ["nowhere.npz", "no such file"]),
        (["compare", "DATA", "--losses", "zlpr"], ["'zlpr'", "did you mean", "zlpr_loss"]),
        (["compare", "DATA", "--losses", "hinge_loss(margin=-1)"], ["hinge_loss", "margin must"]),
        (["compare", "DATA", "--losses", "hinge_loss(margin=[1])"], ["1 values for 4 labels"]),
        (["compare", "DATA", "--losses", "hinge_loss(size=1)"], ["no parameter 'size'", "margin"]),
        (["compare", "DATA", "--losses", ","], ["no loss is named (--losses)"]),
        (["compare", "DATA", "--losses", "zlpr_loss+"], ["a loss is missing beside +"]),
        (["compare", "DATA", "--metrics", "roc_au"], ["'roc_au' (--metrics)", "roc_auc"]),
        (["compare", "DATA", "--losses", "no_module:loss"], ["no module 'no_module' here"]),
        (["compare", "DATA", "--model", "forest"], ["--model", "'forest'", "mlp"]),
        (["compare", "DATA", "--out", "FILE/out"], ["cannot write to", "--out"]),
        (["compare", "DATA", "--labels", "2"], ["tiny.npz", "labels"]),
        (["compare", "DATA", "--seeds", "0"], ["--seeds", "from 1 to", "'0'"]),
        (["compare", "DATA", "--force"], ["--force", "--out"]),
        (["compare", "DATA", "--ignore", "MLC07"], ["'MLC07' (--ignore)", "mean MLC007?"]),
        (["compare", "FILE"], ["unknown kind of file"]),
        (["describe", "zlpr"], ["'zlpr'", "did you mean"]),
        (["check", "BROKEN"], ["broken.npz", "not an .npz archive"]),
        (["show"], ["DIR", "show --help"]),
        (["conquer"], ["invalid choice", "conquer"]),
        (["compare", "--seed", "3"], ["argument '--seed'", "did you mean --seeds?", "compare --h"]),
        (["compare", "DATA", "--los=zlpr_loss"], ["'--los=zlpr_loss'", "did you mean --losses?"]),
        (["check", "DATA", "--drops", "a"], ["'--drops'", "did you mean --drop?"]),
        (["list", "DATA"], ["unrecognized argument", "tiny.npz"]),
        (["compare", "DATA", "--drop", "a"], ["tiny.npz", "has no columns", "leave --drop out"]),
        ([], ["COMMAND", "--help"]),
    ],
)
def test_mistakes_are_one_line_and_exit_status_2(arguments, words, data, here, tmp_path):
    file, broken = tmp_path / "file", tmp_path / "broken.npz"
    file.write_text("")
    broken.write_text("no archive")
    real = {"DATA": data, "FILE": file, "FILE/out": file / "out", "BROKEN": broken}
    assert_refused(here(*(real.get(word, word) for word in arguments)), *words)


FLAGS = {
    ("compare", flag)
    for flag in ("--labels", "--drop", "--losses", "--model", "--seeds", "--out", "--force")
} | {("describe", "--plot"), ("tune", "--inputs"), ("evaluate", "--per-label"), ("check", "--drop")}


@pytest.mark.parametrize(("command", "flag"), sorted(FLAGS))
def test_no_flag_is_taken_by_its_prefix(command, flag, here):
    for word in (flag[:-1], f"{flag[:-1]}=1", flag[: len(flag) // 2 + 1]):
        assert_refused(here(command, "DATA", word), f"unrecognized argument '{word}'")
    assert_refused(here(command, "DATA", flag[:-1]), f"did you mean {flag}?")


def test_a_mistake_in_a_process_of_its_own(mllosses, tmp_path):
    assert_refused(mllosses("compare", tmp_path / "nowhere.npz"), "nowhere.npz", "no such file")


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_without_a_known_label_is_refused(part, data, here, tmp_path):
    unknown = tmp_path / "unknown.npz"
    with np.load(data) as arrays:
        mask = f"mask_{part}"
        np.savez(unknown, **dict(arrays) | {mask: np.zeros_like(arrays[mask])})
    answer = here("compare", unknown, "--out", tmp_path / "out")
    assert_refused(answer, "unknown", "no label", part)
    assert not (tmp_path / "out").exists()


def test_functions_of_the_current_folder(data, here, tmp_path):
    lines = ["import jax.numpy as jnp", "", "def sound(logits, labels, where):"]
    lines += ["    return (logits - jnp.where(labels, 1.0, 0.0)) ** 2", ""]
    lines += ["def largest(scores, labels, where):", "    return scores.max()"]
    lines += ["def broken(logits, labels, where):", "    return logits @ logits"]
    (tmp_path / "own_losses.py").write_text("\n".join(lines))
    out, losses = tmp_path / "out", f"{OTHER}+0.5*own_losses:sound"
    options = ("--seeds", 1, "--out", out, "--metrics", "recall_at_k(k=2),own_losses:largest")
    done = here("compare", data, "--losses", f"{OTHER},{losses}", *options)
    assert done.returncode == 0, done.stderr
    assert list(results_of(out)["results"]) == [OTHER, losses]
    assert "Further metrics\n" in done.stdout
    assert results_of(out)["results"][OTHER]["recall_at_k(k=2)"]["mean"] > 0.5
    again = here("compare", "--resume", out)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert passes(again) == [f"finished before: {OTHER}", f"finished before: {losses}"]
    done = here("compare", data, "--losses", "own_losses:broken", "--out", tmp_path / "new")
    assert_refused(done, "own_losses:broken failed in own_losses.py, line 9", "logits @ logits")
    assert not (tmp_path / "new").exists()


def test_without_out_each_run_has_a_folder_of_its_own(data, here, tmp_path):
    arguments = ["compare", data, "--losses", BASELINE, "--seeds", 1]
    for name in ("tiny-linear", "tiny-linear-2"):
        done = here(*arguments)
        assert done.returncode == 0, done.stderr
        assert f"Written to mllosses-out/{name}" in done.stdout
        assert set(results_of(tmp_path / "mllosses-out" / name)["results"]) == {BASELINE}
        assert passes(done)[0] == f"training: {BASELINE}"


def test_missing_rich_is_named(data, mllosses, tmp_path):
    (tmp_path / "rich.py").write_text("raise ImportError('no rich here')")
    path = os.pathsep.join([str(tmp_path), os.getcwd()])
    done = mllosses("compare", data, PYTHONPATH=path)
    assert_refused(done, "pip install 'mllosses-jax[cli]'")


def test_list_describe_and_check(data, here):
    done = here("list")
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "ranking" in lines
    [line] = [line for line in lines if line.startswith("  zlpr_loss ")]
    assert "rank loss" in line

    done = here("describe", "asymmetric_loss")
    assert done.returncode == 0
    for part in ("Formula", "gamma_neg = 4.0", "clip = 0.05", "Ridnik", "2009.14119"):
        assert part in done.stdout

    done = here("check", data)
    assert done.returncode == 0
    card = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines() if line[:1].islower())
    assert card["training rows"] == "60"
    assert card["test rows"] == "30"
    assert card["features"] == "5"
    assert card["labels"] == "4"
    assert int(card["unknown entries"]) > 0


def test_groups_are_a_column_that_is_there(here, tmp_path):
    path = tmp_path / "tiny.csv"
    rows = [f"{row},{row // 30},{row % 2}" for row in range(90)]
    path.write_text("\n".join(["size,patient,label:a", *rows]) + "\n")
    arguments = ["compare", path, "--losses", OTHER, "--out", tmp_path / "out", "--groups"]
    assert_refused(here(*arguments, "pateint"), "'pateint'", "--groups", "did you mean patient")
    assert_refused(here(*arguments, "patient"), "2 groups in the training part", "(--groups)")
    assert not (tmp_path / "out").exists()
    assert_refused(here("compare", "--groups", "patient"), "no columns", "leave --groups out")
