"""What comes with the page of a comparison: Markdown, tables, predictions and notebooks."""

import csv
import importlib.resources
import re

import numpy as np
import pytest
from comparison_inputs import ROWS, draw_nothing
from page_inputs import BASELINE, HOSTILE, OTHER, Page, make_comparison
from sklearn import metrics as sk_metrics

from mllosses_jax.compare import leaderboard, markdown, per_label
from mllosses_jax.compare.page import whole


@pytest.fixture(scope="module")
def comparison():
    return make_comparison()


def test_notebooks_show_the_table_without_a_script(comparison):
    made = comparison._repr_html_()
    page = Page(made)
    assert page.faults == []
    assert not page.all("script")
    assert not page.all("button")
    assert len(page.all("tr")) == 1 + len(leaderboard.rows(comparison)) + 1


def test_a_page_is_written_and_not_overwritten(comparison, tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    path, text = tmp_path / "page.html", whole.html(comparison)
    comparison.report(path)
    assert path.read_text(encoding="utf-8") == text
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="choose another file, or force=True"):
        comparison.report(str(path))
    assert path.read_text() == "mine"
    comparison.report(path, force=True)
    assert path.read_text(encoding="utf-8") == text


def test_tables_of_markdown_are_tables(comparison):
    made = markdown.text(comparison)
    tables = re.findall(r"(?:^\|.*\n?)+", made, flags=re.M)
    assert len(tables) == 4  # metrics in two parts, the labels, and the times
    for table in tables:
        widths = {len(line) for line in table.splitlines()}
        assert len(widths) == 1
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1
    mean = comparison.results[OTHER]["map"]
    cell = f"{mean['mean']:.3f} ({mean['low']:.3f} to {mean['high']:.3f})"
    assert made.count(cell) == 2  # default and tuned
    assert "# \\<b\\>toy\\</b\\>: comparison" in made
    assert "<script" not in made.replace("\\<", "")
    assert r"\+ means better" in made  # not an item of a list
    assert "- **issue MLC001** No positive." in made
    for name in HOSTILE[:3]:
        assert markdown.plain(name) in made  # in the classification report


def test_per_label_csv_has_a_row_for_each_loss_and_label(comparison, tmp_path):
    rows = per_label.csv_rows(comparison)
    assert [(row["loss"], row["label"]) for row in rows] == [
        (loss, name) for loss in comparison.results for name in comparison.dataset.label_names
    ]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert rows[0]["test_positives"] == comparison.dataset.y_test[:, 0].sum()
    scores = comparison.outcomes[BASELINE].test_scores[0, :, 0]
    expected = sk_metrics.f1_score(comparison.dataset.y_test[:, 0], scores > 0)
    np.testing.assert_allclose(rows[0]["f1_default"], expected, rtol=1e-6)


def test_predictions_are_those_of_the_recommended_loss(comparison):
    found = per_label.predictions(comparison)
    outcome = comparison.outcomes[OTHER]
    scores = outcome.test_scores[0]
    assert found["loss"] == OTHER
    np.testing.assert_array_equal(found["scores"], scores)
    np.testing.assert_array_equal(found["labels"], comparison.dataset.y_test)
    np.testing.assert_array_equal(found["label_sets"], scores >= outcome.decisions.label_thresholds)
    slope, bias = (np.asarray(getattr(outcome.decisions.calibrator, n)) for n in ("slope", "bias"))
    expected = 1 / (1 + np.exp(-(scores.astype(np.float64) * slope + bias)))
    np.testing.assert_allclose(found["probabilities"], expected, rtol=1e-4)
    assert found["where"].shape == (ROWS, 4)


def test_style_and_script_are_part_of_the_package():
    folder = importlib.resources.files("mllosses_jax.compare.page")
    names = {file.name for file in folder.iterdir() if not file.name.endswith(".py")}
    assert {"page.html", "page.css", "page.js", "notebook.css"} <= names
