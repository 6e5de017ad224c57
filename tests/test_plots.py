"""What the plots draw: the points of their lines, against scikit-learn and by hand."""

import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn import calibration as sk_calibration
from sklearn import metrics as sk_metrics

from mllosses_jax import plots

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.random((200, 3)) < (0.5, 0.3, 0.1)
SCORES = (2 * LABELS - 1 + GENERATOR.normal(size=LABELS.shape)).round(2)
KNOWN = GENERATOR.random(LABELS.shape) < 0.8


@pytest.fixture
def ax():
    return Figure().subplots()


def points(line):
    return np.asarray(line.get_xydata(), float)


def test_precision_recall_is_that_of_scikit_learn(ax):
    known = KNOWN[:, 1]
    assert plots.precision_recall(SCORES[:, 1], LABELS[:, 1], where=known, name="a", ax=ax) is ax
    precision, recall, _ = sk_metrics.precision_recall_curve(LABELS[known, 1], SCORES[known, 1])
    np.testing.assert_allclose(points(ax.lines[-1]), np.stack([recall, precision], 1))
    assert ax.lines[-1].get_drawstyle() == "steps-post"
    assert [text.get_text() for text in ax.get_legend().texts] == ["a"]
    # The area under the staircase is the average precision.
    area = -np.sum(np.diff(recall) * precision[:-1])
    expected = sk_metrics.average_precision_score(LABELS[known, 1], SCORES[known, 1])
    np.testing.assert_allclose(area, expected)


def test_the_staircase_encloses_the_average_precision(ax):
    """Between two points, the line stays at the precision of the higher recall."""
    plots.precision_recall(np.array([3.0, 2, 1]), np.array([1, 0, 1]), ax=ax)
    path = ax.lines[-1].get_path().vertices
    drawn = ax.lines[-1]
    steps = mpl.cbook.STEP_LOOKUP_MAP[drawn.get_drawstyle()](*path.T)
    area = -np.sum(np.diff(steps[0]) * steps[1][:-1])
    np.testing.assert_allclose(area, sk_metrics.average_precision_score([1, 0, 1], [3, 2, 1]))


def test_lines_against_the_threshold_are_those_of_scikit_learn(ax):
    known = KNOWN[:, 2]
    plots.threshold_curve(SCORES[:, 2], LABELS[:, 2], tuned=0.5, where=known, ax=ax)
    f1, precision, recall, mark = ax.lines
    truth, scores = LABELS[known, 2], SCORES[known, 2]
    thresholds = np.unique(scores)
    scorers = {
        f1: sk_metrics.f1_score,
        precision: sk_metrics.precision_score,
        recall: sk_metrics.recall_score,
    }
    for line, scorer in scorers.items():
        expected = [scorer(truth, scores >= t, zero_division=0) for t in thresholds]
        np.testing.assert_allclose(points(line), np.stack([thresholds, expected], 1))
        # [s >= t] is the same for all t from the score below, exclusively, up to the score.
        assert line.get_drawstyle() == "steps-pre"
    assert list(mark.get_xdata()) == [0.5, 0.5]
    assert [text.get_text() for text in ax.get_legend().texts] == ["F1", "precision", "recall"]


@pytest.mark.parametrize("tuned", [None, np.inf])
def test_no_threshold_is_marked_where_there_is_none(tuned, ax):
    plots.threshold_curve(SCORES[:, 0], LABELS[:, 0], tuned=tuned, ax=ax)
    assert len(ax.lines) == 3


def test_reliability_is_that_of_scikit_learn(ax):
    p = 1 / (1 + np.exp(-SCORES))
    plots.reliability_diagram(p, LABELS, where=KNOWN, name="before", ax=ax)
    plots.reliability_diagram(p**2, LABELS, where=KNOWN, name="after", ax=ax)
    diagonal, before, after = ax.lines
    np.testing.assert_array_equal(points(diagonal), [[0, 0], [1, 1]])
    for line, predicted in ((before, p), (after, p**2)):
        fraction, mean = sk_calibration.calibration_curve(
            LABELS[KNOWN], predicted[KNOWN], n_bins=10
        )
        np.testing.assert_allclose(points(line), np.stack([mean, fraction], 1), rtol=1e-5)


def test_dots_by_frequency_leave_out_what_has_no_value(ax):
    values, counts = [0.5, np.nan, 0.2, 0.9], [100, 20, 3, 0]
    plots.average_precision_by_frequency(values, counts, ax=ax)
    np.testing.assert_array_equal(points(ax.lines[-1]), [[100, 0.5], [3, 0.2]])
    assert ax.get_xscale() == "log"


def test_two_losses_leave_out_what_one_of_them_lacks(ax):
    plots.two_losses([0.5, np.nan, 0.2], [0.6, 0.3, 0.1], names=("a", "b"), ax=ax)
    np.testing.assert_array_equal(points(ax.lines[-1]), [[0.5, 0.6], [0.2, 0.1]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")


def test_head_medium_and_tail_are_means_over_their_labels(ax):
    counts = [500, 101, 100, 20, 19, 3, 0]
    first = np.array([0.9, 0.7, 0.6, 0.2, 0.5, np.nan, 0.1])
    plots.head_medium_tail({"a": first, "b": first / 2}, counts, ax=ax)
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    np.testing.assert_allclose(heights, np.outer([1, 0.5], [0.8, 0.4, 0.3]))
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert ticks == ["head\n> 100\n2 labels", "medium\n20 to 100\n2 labels", "tail\n< 20\n3 labels"]


def test_groups_without_a_label_have_no_bar(ax):
    plots.head_medium_tail({"a": [0.5, 0.7]}, [30, 2], ax=ax)
    assert [bar.get_height() for bar in ax.containers[0]] == [0.5, 0.7]
    assert [tick.get_text()[:6] for tick in ax.get_xticklabels()] == ["medium", "tail\n<"]
    assert ax.get_legend() is None
    with pytest.raises(ValueError, match=r"edges must increase, got \(100, 20\)"):
        plots.head_medium_tail({"a": [0.5]}, [30], edges=(100, 20), ax=ax)


def test_intervals_stand_in_the_order_of_the_names(ax):
    mean, low, high = [0.5, np.nan, 0.7], [0.4, np.nan, 0.65], [0.6, np.nan, 0.8]
    plots.intervals(("a", "b", "c"), mean, low, high, reference=0.5, ax=ax)
    np.testing.assert_array_equal(points(ax.lines[-1]), np.stack([mean, [0, 1, 2]], 1))
    first, _, third = ax.collections[0].get_segments()
    np.testing.assert_array_equal([first[:, 0], third[:, 0]], [[0.4, 0.6], [0.65, 0.8]])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]
    top, bottom = ax.transData.transform([[0.5, 0], [0.5, 2]])[:, 1]
    assert top > bottom
    with pytest.raises(ValueError, match="names must have 3 entries like means, got 1"):
        plots.intervals(("a",), mean, low, high, ax=ax)


def test_a_search_is_the_best_score_of_each_value(ax):
    values, scores = [0.1, 0.01, 0.1, 1.0], [0.5, 0.4, 0.6, -np.inf]
    plots.search_curve(values, scores, chosen=0.1, name="strength", ax=ax)
    line, dots, mark = ax.lines
    np.testing.assert_array_equal(points(line), [[0.01, 0.4], [0.1, 0.6]])
    np.testing.assert_array_equal(points(dots), [[0.1, 0.5], [0.01, 0.4], [0.1, 0.6]])
    assert list(mark.get_xdata()) == [0.1, 0.1]
    assert ax.get_xscale() == "log"


def test_a_search_over_zero_has_a_linear_axis(ax):
    plots.search_curve([0.0, 1.0], [0.5, 0.6], ax=ax)
    assert ax.get_xscale() == "linear"
    assert len(ax.lines) == 1


def test_frequencies_within_a_power_of_ten_have_numbers_on_their_axis():
    for counts, numbered in ([155, 500, 777], True), ([3, 40, 500], False):
        ax = plots.label_frequencies(counts)
        ax.figure.canvas.draw()
        texts = [tick.get_text() for tick in ax.get_yticklabels(minor=True)]
        assert any(texts) is numbered


def test_frequencies_fall_and_leave_out_labels_without_a_positive(ax):
    plots.label_frequencies(np.array([3, 0, 40, 500, 3]), name="training", ax=ax)
    np.testing.assert_array_equal(points(ax.lines[-1]), [[1, 500], [2, 40], [3, 3], [4, 3]])
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().texts] == ["training"]


def test_learning_has_an_axis_for_the_loss_and_one_for_the_score(ax):
    steps, loss, score = [25, 50, 75], [0.6, np.inf, 0.4], [0.3, 0.5, np.nan]
    assert plots.learning_curves(steps, loss, score, final_loss=[0.7, 0.5], chosen=50, ax=ax) is ax
    line, final, mark = ax.lines
    np.testing.assert_array_equal(points(line), [[25, 0.6], [75, 0.4]])
    np.testing.assert_array_equal(points(final), [[25, 0.7], [50, 0.5]])
    assert list(mark.get_xdata()) == [50, 50]
    left, right = ax.figure.axes
    np.testing.assert_array_equal(points(right.lines[0]), [[25, 0.3], [50, 0.5]])
    assert (left.get_ylabel(), right.get_ylabel()) == ("training loss", "validation score")
    assert line.get_color() != right.lines[0].get_color()


def test_learning_without_a_score_has_one_axis(ax):
    plots.learning_curves([1, 2], [0.5, 0.4], ax=ax)
    assert ax.figure.axes == [ax]
    with pytest.raises(ValueError, match=r"final_loss .* steps, which has 2; got \(3,\)"):
        plots.learning_curves([1, 2], [0.5, 0.4], final_loss=[1, 2, 3], ax=ax)


# What all of them share.

CALLS = {
    "average_precision_by_frequency": lambda **k: plots.average_precision_by_frequency(
        [0.5], [9], **k
    ),
    "head_medium_tail": lambda **k: plots.head_medium_tail({"a": [0.5]}, [9], **k),
    "intervals": lambda **k: plots.intervals(["a"], [0.5], [0.4], [0.6], **k),
    "label_frequencies": lambda **k: plots.label_frequencies([9, 3], **k),
    "learning_curves": lambda **k: plots.learning_curves([1], [0.5], [0.4], chosen=1, **k),
    "precision_recall": lambda **k: plots.precision_recall(SCORES[:, 0], LABELS[:, 0], **k),
    "reliability_diagram": lambda **k: plots.reliability_diagram(LABELS * 0.5, LABELS, **k),
    "search_curve": lambda **k: plots.search_curve([1.0], [0.5], **k),
    "threshold_curve": lambda **k: plots.threshold_curve(SCORES[:, 0], LABELS[:, 0], **k),
    "two_losses": lambda **k: plots.two_losses([0.5], [0.6], **k),
}


def test_every_plot_is_here():
    assert sorted(CALLS) == sorted(plots.__all__)


@pytest.mark.parametrize("name", CALLS)
def test_a_plot_without_axes_has_a_figure_of_its_own(name):
    import matplotlib.pyplot as plt

    with mpl.rc_context({"backend": "agg"}):
        first, second = CALLS[name](), CALLS[name]()
        assert isinstance(first, Axes)
        assert first.figure is not second.figure
        plt.close("all")


@pytest.mark.parametrize("name", CALLS)
def test_colours_are_those_of_the_style(name):
    """A dark style reaches every mark, so no colour is written into a plot."""
    own = {"text.color": "#010203", "axes.prop_cycle": mpl.cycler(color=["#040506"] * 3)}
    with mpl.rc_context(own):
        figure = Figure()
        axes = CALLS[name](ax=figure.subplots())
        colours = [line.get_color() for line in axes.lines]
        colours += [patch.get_facecolor() for patch in axes.patches]
        colours += [colour for each in axes.collections for colour in each.get_edgecolor()]
        colours = {mpl.colors.to_hex(colour) for colour in colours}
    assert colours <= {"#010203", "#040506"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: plots.precision_recall(SCORES, LABELS),
            r"scores must have shape \(N,\), one entry per sample of one label",
        ),
        (
            lambda: plots.threshold_curve(SCORES[:, 0], LABELS[:5, 0]),
            r"labels must have shape \(N,\).* got \(5,\) with scores \(200,\)",
        ),
        (
            lambda: plots.two_losses([0.5, 0.6], [0.5]),
            r"second must have shape \(2,\), one number per label as in first; got \(1,\)",
        ),
        (
            lambda: plots.average_precision_by_frequency([[0.5]], [3]),
            r"average_precision must have shape \(1,\).* got \(1, 1\)",
        ),
    ],
)
def test_wrong_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_matplotlib_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'mllosses-jax\[cli\]'"):
        plots.two_losses([0.5], [0.6])
