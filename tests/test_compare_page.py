"""The page of a comparison: structure, names and numbers."""

import ast
import copy
import html
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from comparison_inputs import draw_nothing, make_dataset, make_outcome
from page_inputs import (
    BASELINE,
    FINDINGS,
    HOSTILE,
    ORDERING,
    OTHER,
    Page,
    make_comparison,
    rows_of,
)
from sklearn import metrics as sk_metrics

from mllosses_jax.compare import leaderboard, per_label
from mllosses_jax.compare.choosing import choose, parse
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.page import data, elements, verdict, whole
from mllosses_jax.compare.settings import Settings


@pytest.fixture(scope="module")
def comparison():
    return make_comparison()


@pytest.fixture(scope="module")
def text(comparison):
    return whole.html(comparison)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


# Structure.


def test_elements_are_nested_and_ids_are_unique(page):
    assert page.faults == []
    ids = [element["id"] for element in page.elements if "id" in element]
    assert len(ids) == len(set(ids))
    referred = {e[k] for e in page.elements for k in ("aria-controls", "aria-labelledby") if k in e}
    referred |= {e["href"][1:] for e in page.elements if e.get("href", "").startswith("#")}
    assert referred <= set(ids)


def test_every_tab_has_its_panel(page):
    tabs, panels = page.all(role="tab"), page.all(role="tabpanel")
    assert [tab["text"] for tab in tabs] == [
        "Verdict",
        "Losses",
        "Checks1",  # with the number of issues
        "Labels",
        "Data",
        "Run",
    ]
    assert [tab["aria-controls"] for tab in tabs] == [panel["id"] for panel in panels]
    assert [panel["aria-labelledby"] for panel in panels] == [tab["id"] for tab in tabs]
    assert [tab["aria-selected"] for tab in tabs].count("true") == 1
    assert all(len(panel["text"]) > 40 for panel in panels)
    assert all("hidden" not in panel for panel in panels)  # without a script all are seen


def test_the_page_needs_no_network(text, page):
    assert "//" not in re.sub(r"\s//.*", "", text)  # but for comments of the script
    assert not page.all("img")
    assert all(e["href"][:1] == "#" or e["href"] == "data:," for e in page.all() if "href" in e)
    assert not [e for e in page.all() if "src" in e]
    assert "@import" not in text
    assert re.findall(r"url\(([^)]{1,2})", text) == [
        "#" + c for c in re.findall(r"url\(#(.)", text)
    ]
    [policy] = page.all("meta", http_equiv="Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")


def test_names_are_text(text, page):
    assert len(page.all("script")) == 1
    assert not page.all("b", inside=["html", "body", "header", "div", "h1"])
    [title] = page.all("h1")
    assert title["text"] == "<b>toy</b>"
    headings = [e["text"] for e in page.all("th", scope="row")]
    for name in HOSTILE[:3]:
        assert name in headings
    assert r"$x$ & \x1b[31m" in headings
    assert "\x1b" not in text
    assert not [e for e in page.elements if "onload" in e]
    assert not page.all("i")


def test_tables_can_be_read_aloud(page):
    tables = page.all("table")
    assert len(page.all("caption")) == len(tables) >= 5
    assert all(e.get("scope") in ("col", "row") for e in page.all("th"))
    assert {e["aria-sort"] for e in page.all("th") if "aria-sort" in e} == {"none"}
    for row in page.all("tr"):
        assert row["inside"][-1] in ("thead", "tbody")


def test_figures_have_words(page):
    pictures = page.all("svg")
    assert len(pictures) > 15
    assert all(e["role"] == "img" and len(e["aria-label"]) > 30 for e in pictures)
    assert len(page.all("figcaption")) == len(pictures)


def test_figures_take_the_colours_of_the_page(text):
    pictures = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.S))
    assert "var(--first)" in pictures
    assert set(re.findall(r"#[0-9a-f]{3,6}\b", pictures)) <= {"#000000"} - {"#000000"}
    assert "<style" not in pictures
    assert "<metadata" not in pictures


def test_a_page_of_many_labels_stays_small():
    many = make_comparison(labels=400, names=())
    made = whole.html(many)
    assert len(made) < 1_000_000
    assert len(rows_of(made, "labels-table")) == 300
    assert "100 labels with fewer test positives are in per_label.csv alone." in made
    assert {row["Label"] for row in rows_of(made, "labels-table")} < set(many.dataset.label_names)


@pytest.fixture
def without_figures(monkeypatch):
    """As without matplotlib, which is much faster too."""
    draw_nothing(monkeypatch)


@pytest.mark.usefixtures("without_figures")
def test_without_matplotlib_the_tables_are_there(comparison):
    made = whole.html(comparison)
    assert "<svg" not in made
    assert "Figures need matplotlib: pip install" in made
    assert Page(made).faults == []
    assert len(rows_of(made, "losses-table")) == 6


def test_the_page_loads_no_display():
    """Figures are drawn without pyplot, so a window system is never asked for."""
    code = (
        "import sys\n"
        "from mllosses_jax import plots\n"
        "from mllosses_jax.compare.page import figures\n"
        "figures.figure('a', 'b', 'c', lambda ax: plots.two_losses([0.5], [0.6], ax=ax))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# Numbers.


def test_the_table_of_losses_holds_the_results(comparison, text):
    rows = rows_of(text, "losses-table")
    assert [(row["Loss"], row["Decisions"]) for row in rows] == [
        (BASELINE, "default"),
        (BASELINE, "tuned"),
        (OTHER, "default"),
        (OTHER, "tuned"),
        (f"{ORDERING}*", "tuned"),  # it has no origin, so no default decisions
        ("prior only", "tuned"),
    ]
    metrics = {"macro-F1": ("macro_f1_at_half", "macro_f1_tuned"), "mAP": ("map", "map")}
    metrics |= {"ECE": ("calibration_error", "calibration_error_platt"), "LRAP": ("lrap", "lrap")}
    metrics["ranking loss"] = ("ranking_loss", "ranking_loss")
    for row in rows[:5]:
        results = comparison.results[row["Loss"].rstrip("*")]
        for heading, both in metrics.items():
            metric = both[row["Decisions"] == "tuned"]
            assert row[heading] == results[metric]["mean"]
        assert row["CPU seconds"] == results["cpu_seconds"]["mean"]
    assert np.isnan(rows[0]["micro-F1"])
    assert rows[1]["micro-F1"] == comparison.results[BASELINE]["micro_f1_tuned"]["mean"]


def test_marks_are_those_of_the_comparison(comparison, page):
    for row in leaderboard.rows(comparison):
        for column in leaderboard.columns(comparison):
            metric = column.metrics[row.decided]
            if column.heading in row.cells:
                assert row.cells[column.heading].mark == comparison.mark(row.name, metric)
    shown = [e["text"] for e in page.all("span") if e.get("class", "").startswith("mark ")]
    rows = leaderboard.rows(comparison)
    better, worse = (sum(row.count(sign) for row in rows) for sign in "+-")
    assert better
    assert worse
    assert shown.count("+ better than the baseline") == better
    assert shown.count("\N{MINUS SIGN} worse than the baseline") == worse
    for row in rows:
        if row.name != BASELINE:
            assert f"+{row.count('+')} \N{MINUS SIGN}{row.count('-')}" in [
                e["text"] for e in page.all("td")
            ]


def test_the_front_is_what_none_beats_in_both(comparison):
    points = {
        label: (found["map"]["mean"], found["cpu_seconds"]["mean"])
        for label, found in comparison.results.items()
    }
    assert points[OTHER][0] > points[BASELINE][0] > points[ORDERING][0]
    assert points[OTHER][1] == points[BASELINE][1] < points[ORDERING][1]
    fast = {row.name for row in leaderboard.rows(comparison) if row.fast}
    assert fast == {OTHER}


def test_references_stand_apart(comparison, text):
    [body] = re.findall(r'<tbody class="apart">.*?</tbody>', text, flags=re.S)
    assert "prior only" in body
    assert "0.300" in body
    assert BASELINE not in body


def test_labels_are_judged_as_by_scikit_learn(comparison, text):
    dataset, taken = comparison.dataset, comparison.recommended
    assert taken == OTHER
    outcome = comparison.outcomes[taken]
    rows = rows_of(text, "labels-table")
    support = dataset.y_test.sum(0)
    assert [row["Test positives"] for row in rows] == sorted(support.tolist(), reverse=True)
    for row, place in zip(rows, np.argsort(-support, kind="stable"), strict=True):
        truth = dataset.y_test[:, place]
        scores = outcome.test_scores[:, :, place].astype(np.float64)
        expected = np.mean([sk_metrics.average_precision_score(truth, each) for each in scores])
        np.testing.assert_allclose(row["Average precision"], expected, rtol=1e-6)
        threshold = outcome.decisions.label_thresholds[place]
        expected = np.mean([sk_metrics.f1_score(truth, each >= threshold) for each in scores])
        np.testing.assert_allclose(row["F1 tuned"], expected, rtol=1e-6)
        assert row["Training positives"] == dataset.y_train[:, place].sum()
        assert row["Threshold"] == threshold
        base = comparison.outcomes[BASELINE].test_scores[0, :, place]
        lead = row["Average precision"] - sk_metrics.average_precision_score(truth, base)
        np.testing.assert_allclose(row["Lead"], lead, atol=1e-6)


def test_unknown_labels_do_not_count():
    comparison = make_comparison(masked=True)
    found = per_label.label_figures(comparison, BASELINE)
    dataset = comparison.dataset
    for place in range(4):
        known = dataset.mask_test[:, place]
        truth = dataset.y_test[known, place]
        scores = comparison.outcomes[BASELINE].test_scores[0, known, place]
        expected = sk_metrics.average_precision_score(truth, scores)
        np.testing.assert_allclose(found.average_precision[place], expected, rtol=1e-6)
    _, test = per_label.positives(comparison)
    np.testing.assert_array_equal(test, (dataset.y_test & dataset.mask_test).sum(0))
    assert Page(whole.html(comparison)).faults == []


# The verdict and the findings.


def test_the_verdict_has_its_interval_and_lines_to_copy(comparison, page):
    lead = comparison.differences[OTHER]["map"]
    [sentence] = [e["text"] for e in page.all("p", class_="lead") if "validation" in e["text"]]
    assert f"a difference of {lead.low:+.3f} to {lead.high:+.3f}" in sentence
    assert page.all("h2")[0]["text"] == f"Take {OTHER}"
    shell, python = (e["text"] for e in page.all("pre"))
    assert shell == verdict.shell(comparison)
    assert f"--losses {OTHER} --model linear --seeds 5" in shell
    assert f'losses=["{OTHER}"]' in python
    compile(python, "python", "exec")
    assert [e["text"] for e in page.all("a", href="#checks")] == ["Checks1", "1 issue"]


def test_lines_to_copy_read_the_data_as_it_was_read(comparison, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    source = {"data": str(tmp_path / "my data.csv"), "labels": ["a", "b c"], "drop": None}
    given = copy.copy(comparison)
    given.source = source
    [line] = [line for line in verdict.shell(given).splitlines() if " compare " in line]
    words = shlex.split(line)
    assert words[:5] == ["mllosses", "compare", "my data.csv", "--labels", "a,b c"]
    assert "--drop" not in words
    [call] = [
        node
        for node in ast.walk(ast.parse(verdict.python(given)))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "compare"
    ]
    assert ast.literal_eval(call.args[0]) == "my data.csv"
    keywords = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
    assert (keywords["labels"], "drop" in keywords) == (["a", "b c"], False)


def test_lines_to_copy_do_not_name_what_only_the_session_has():
    dataset = make_dataset()
    [local] = choose({"mine": lambda logits, labels: logits.mean()})
    settings = Settings(model="own", own_model="Net")
    comparison = Comparison(dataset, settings, baseline="mine")
    comparison.add(local, make_outcome(dataset, models=1))
    assert verdict.shell(comparison).startswith("# mine is yours")
    said = verdict.python(comparison)
    compile(said, "python", "exec")
    assert 'losses={"mine": FUNCTION}' in said
    assert "model=MODEL" in said


@pytest.mark.usefixtures("without_figures")
def test_a_lead_that_is_kept_is_measured_too():
    comparison = make_comparison(validation=0.45)
    assert comparison.recommended == comparison.best == BASELINE
    said = html.unescape(whole.html(comparison))
    difference = comparison.differences[ORDERING]["map"]
    words = elements.text(f"The next best is {ORDERING}, which differs by")
    assert words in said
    assert leaderboard.interval(difference.low, difference.high, signed=True) in said


@pytest.mark.usefixtures("without_figures")
def test_parameters_are_quoted_for_the_shell_and_for_python():
    dataset = make_dataset()
    label = "asymmetric_loss(gamma_neg=2)"
    comparison = Comparison(dataset, Settings(), baseline=label)
    comparison.add(parse(label), make_outcome(dataset, models=1))
    assert f"--losses '{label}'" in verdict.shell(comparison)
    assert f'losses=["{label}"]' in verdict.python(comparison)
    assert Page(whole.html(comparison)).faults == []  # a loss alone has nothing beside it


def test_findings_come_with_all_that_they_say(page):
    found = page.all("article")
    assert [" ".join(e["text"].split(" ")[:2]) for e in found] == ["issue MLC001", "tip MLC004"]
    for element, finding in zip(found, FINDINGS[::-1], strict=True):
        for said in (finding.title, finding.why, finding.remedy, *finding.evidence):
            assert said in element["text"]
    [more] = [e["text"] for e in page.all("summary") if e["text"].endswith("more")]
    assert more == "3 more"


@pytest.mark.usefixtures("without_figures")
def test_without_findings_there_is_no_count():
    comparison = make_comparison()
    comparison.checks = ()
    page = Page(whole.html(comparison))
    assert page.all(id="tab-checks")[0]["text"] == "Checks"
    assert "found nothing" in page.all(id="checks")[0]["text"]


@pytest.mark.usefixtures("without_figures")
def test_a_loss_that_diverged_has_no_figures():
    comparison = make_comparison()
    outcome = make_outcome(comparison.dataset, models=1)
    outcome.test_scores[:] = np.inf
    comparison.add(parse("hinge_loss"), outcome)
    made = whole.html(comparison)
    page = Page(made)
    assert page.faults == []
    row = next(row for row in rows_of(made, "losses-table") if row["Loss"] == "hinge_loss")
    assert np.isnan(row["mAP"])
    assert not next(r for r in leaderboard.rows(comparison) if r.name == "hinge_loss").fast


@pytest.mark.parametrize(
    ("value", "signed", "shown"),
    [
        (-0.0004, False, "0.000"),
        (-0.0004, True, "0.000"),
        (0.0016, True, "+0.002"),
        (-0.25, False, "\N{MINUS SIGN}0.250"),
        (np.nan, True, "n/a"),
    ],
)
def test_numbers_have_three_decimals(value, signed, shown):
    assert leaderboard.decimal(value, signed=signed) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12345, "12\N{NARROW NO-BREAK SPACE}345"),
        (True, "yes"),
        (None, "n/a"),
        (["a", "b"], "a, b"),
        ([], "none"),
        ({"a": 1}, "a (1)"),
        ("text", "text"),
    ],
)
def test_every_kind_of_value_of_the_card_is_shown(value, shown):
    assert data._shown(value) == shown
