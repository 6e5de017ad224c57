"""The command with a validation part of its own, and with scores of models trained elsewhere."""

import json
import tomllib

import numpy as np
import pytest
from compare_inputs import NAMES, assert_refused, results_of

pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Returns a folder with tables of training and validation rows."""
    folder = tmp_path_factory.mktemp("tables")
    generator = np.random.default_rng(0)
    for name, rows in (("train.csv", 90), ("held.csv", 40)):
        x = generator.normal(size=(rows, 2))
        y = x + generator.normal(size=(rows, 2)) > 0
        lines = [
            f"{name[0]}{i // 2},{a:.4f},{b:.4f},{int(c)},{int(d)}"
            for i, (a, b, c, d) in enumerate(np.concatenate([x, y], axis=1))
        ]
        header = 'patient,u,v,"sea, calm",sun'
        (folder / name).write_text("\n".join([header, *lines]) + "\n")
    return folder


def test_a_validation_part(files, here, tmp_path):
    flags = ["--validation", files / "held.csv", "--groups", "patient"]
    labels = '"sea, calm",sun'
    done = here("compare", files / "train.csv", "--labels", labels, *flags, "--losses", "zlpr_loss")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "mllosses-out" / "train-linear"
    assert results_of(folder)["data"]["validation_rows"] == 40
    assert "the validation part" in (folder / "report.md").read_text()
    options = tomllib.loads((folder / "run.toml").read_text())
    assert options["validation"] == str(files / "held.csv")
    assert options["labels"] == ["sea, calm", "sun"]
    page = (folder / "report.html").read_text()
    assert "--labels &#x27;&quot;sea, calm&quot;,sun&#x27; --groups patient --validation" in page
    again = here("compare", "--resume", folder)
    assert again.returncode == 0, again.stderr
    assert_refused(
        here("compare", files / "train.csv", "--labels", labels, "--validation", "none.csv"),
        "none.csv: no such file",
    )


def test_scores_of_models(here, tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    for part, rows in (("validation", 60), ("test", 30)):
        y = generator.random((rows, 4)) < 0.4
        for model, skill in (("one", 1), ("two", 3)):
            (tmp_path / "scores" / model).mkdir(parents=True, exist_ok=True)
            scores = skill * y + generator.normal(size=y.shape)
            np.savez(
                tmp_path / "scores" / model / f"{part}.npz",
                scores=scores,
                labels=y,
                label_names=np.array(NAMES),
            )
    scores = tmp_path / "scores"
    assert_refused(here("compare", "--scores", scores), "does not say what its scores are")
    flags = ["--scores", scores, "--inputs", "logits"]
    done = here("compare", *flags, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "2 models" in done.stdout
    assert "predictor.npz" not in done.stdout
    assert "references/*" not in done.stdout
    assert results_of(tmp_path / "out")["config"]["losses"] == ["one", "two"]
    shown = here("show", "out").stdout
    assert "2 models" in shown
    assert done.stdout.startswith(shown.rstrip())
    assert "mllosses compare --scores scores --out winner" in (
        (tmp_path / "out" / "report.html").read_text()
    )
    assert here("compare", "--resume", "out").returncode == 0
    judged = here("evaluate", "out/predictions.npz", "--thresholds", "out/thresholds.json")
    assert judged.returncode == 0, judged.stderr
    assert_refused(here("predict", "out", "new.csv"), "out holds no predictor")
    for flag, value in (("--losses", "hinge_loss"), ("--seeds", "3"), ("--validation", "a.csv")):
        assert_refused(here("compare", *flags, flag, value), f"{flag} has no meaning with --scores")
    assert_refused(here("compare", "data.csv", *flags), "DATA has no meaning with --scores")
    assert_refused(here("compare", "data.csv", "--inputs", "logits"), "--inputs says what")
    assert json.loads((tmp_path / "out" / "results.json").read_text())["references"] == {}
