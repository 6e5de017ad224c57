"""Losses of the user's own and sums: how they are named, bound, trained, resumed and refused."""

import functools
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from own_inputs import MODULE

import mllosses_jax as mll
from mllosses_jax.compare import bound_loss, compare, steps_search
from mllosses_jax.compare.choosing import choose, parse
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Occupied
from mllosses_jax.data import Dataset

SESSION = {"jax_numpy_dtype_promotion": "standard", "jax_numpy_rank_promotion": "allow"}
pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")


@pytest.fixture(autouse=True)
def optax_promotion():
    """The user's functions run as in a user's session, in threads too."""
    strict = {name: getattr(jax.config, name) for name in SESSION}
    for name, value in SESSION.items():
        jax.config.update(name, value)
    yield
    for name, value in strict.items():
        jax.config.update(name, value)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A current folder with the user's modules."""
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("import os\n\nx = = 1\n")
    (tmp_path / "stops.py").write_text("import sys\n\nsys.exit('no')\n")
    (tmp_path / "lacks.py").write_text("\nimport a_module_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("mine", "broken", "stops", "lacks"):
        sys.modules.pop(name, None)


def make_dataset(masked=False, rows=60, labels=3):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, 4)).astype(np.float32)
    y = x @ generator.normal(size=(4, labels)) + generator.normal(size=(rows, labels)) > 0.3
    mask = generator.random(y.shape) < 0.8 if masked else None
    return Dataset(
        name="toy",
        label_names=tuple("abcdef"[:labels]),
        x_train=x[:40],
        y_train=y[:40],
        mask_train=mask[:40] if masked else None,
        x_test=x[40:],
        y_test=y[40:],
    )


def own(logits, labels, where=None):
    return (logits - labels) ** 2


def outputs_of(bound, seed=1):
    return np.random.default_rng(seed).normal(size=(40, bound.num_outputs)).astype(np.float32)


# Names.

SUMS = {
    "asymmetric_loss+0.5*dice_loss": "asymmetric_loss+0.5*dice_loss",
    " asymmetric_loss + .50 * dice_loss(smooth=2) ": "asymmetric_loss+0.5*dice_loss(smooth=2)",
    "1e+5*zlpr_loss+1e-5*dice_loss": "100000*zlpr_loss+1e-05*dice_loss",
    "2.0*zlpr_loss": "2*zlpr_loss",
    "1*zlpr_loss": "zlpr_loss",
    "zlpr_loss+-0.1*dice_loss": "zlpr_loss+-0.1*dice_loss",
    "mine:mean": "mine:mean",
    "zlpr_loss+0.5*mine:by_entry( alpha = 2 )": "zlpr_loss+0.5*mine:by_entry(alpha=2)",
}


@pytest.mark.parametrize(("text", "label"), SUMS.items())
def test_a_label_is_read_again_as_the_same_choice(text, label):
    made = parse(text)
    assert str(made) == made.label == label
    assert parse(label) == made
    assert parse(label).terms == made.terms
    assert re.fullmatch(r"[a-zA-Z0-9_.=-]{1,119}", made.file_name)


def test_file_names_of_sums_differ():
    texts = [*SUMS, "zlpr_loss+0.1*dice_loss", "mine:by_entry", "mine:by_entry(alpha=2)"]
    names = {parse(text).label: parse(text).file_name for text in texts}
    assert len({name.lower() for name in names.values()}) == len(names)


def test_functions_are_named_as_if_they_were_written(here):
    choose("mine:mean")
    mine = sys.modules["mine"]
    twice = functools.partial(mine.by_entry, alpha=2)
    narrow = functools.partial(mll.asymmetric_loss, gamma_neg=2)
    per_label = functools.partial(mll.hinge_loss, margin=np.array([0.5, 1, 2], np.float32))
    inner = mll.weighted_sum({mll.dice_loss: 2, mine.mean: np.float32(0.5)})
    given = {
        mll.zlpr_loss: "zlpr_loss",
        narrow: "asymmetric_loss(gamma_neg=2)",
        per_label: "hinge_loss(margin=[0.5, 1.0, 2.0])",
        mine.mean: "mine:mean",
        twice: "mine:by_entry(alpha=2)",
        mll.weighted_sum([(1, narrow), (0.5, inner)]): (
            "asymmetric_loss(gamma_neg=2)+dice_loss+0.25*mine:mean"
        ),
    }
    assert [str(choice) for choice in choose(list(given))] == list(given.values())
    for label in given.values():
        assert parse(label).label == label

    def local(logits, labels):
        return logits.mean()

    assert [c.label for c in choose([local, "zlpr_loss, mine:mean"])] == [
        "local",
        "zlpr_loss",
        "mine:mean",
    ]
    assert choose(local) == choose([local, local])
    assert choose({"zlpr_loss": mll.zlpr_loss}) == choose("zlpr_loss")
    named = choose({"my own (1)": lambda x, y: x.mean(), "other": local})
    assert [choice.label for choice in named] == ["my own (1)", "other"]


def another_own():
    def own(logits, labels):
        return logits.mean()

    return own


def asymmetric_loss(logits, labels):
    return logits.mean()


def first_local():
    def zlpr_loss(logits, labels):
        return logits.mean()

    return zlpr_loss


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (lambda x, y: x.mean(), "a lambda has no name.*give a dict with names"),
        ([another_own(), another_own()], "two functions are called own.*dict with names"),
        (first_local(), "zlpr_loss is also a loss of this package.*dict with names"),
        ({"zlpr_loss": own}, "zlpr_loss is also a loss of this package"),
        ({"2*zlpr_loss+mine": own}, "is also a loss of this package"),
        ({"": own}, "names of losses must be text of at most 100"),
        ({3: own}, "names of losses must be text.*got 3"),
        ({"mine": 3}, "mine must be a function"),
        (functools.partial(own, where=None, n=object()), "own is given more than named numbers"),
        (functools.partial(mll.hinge_loss, reduction="sum"), "reduction cannot be set"),
        (functools.partial(mll.factorized_count_loss, count_logits=2.0), "count_logits cannot"),
        (functools.partial(mll.hinge_loss, margn=2), "no parameter 'margn'.*did you mean margin"),
        ("zlpr_loss+", "a loss is missing beside"),
        ("+zlpr_loss", "a loss is missing beside"),
        ("zlpr_loss*0.5", "weight must be a number before"),
        ("a*zlpr_loss", "weight must be a number before"),
        ("0*zlpr_loss", "weight of zlpr_loss must be finite and not 0"),
        ("1e999*zlpr_loss", "weight of zlpr_loss must be finite and not 0"),
        ("zlpr_loss+0.5*zlp_loss", "no loss is called 'zlp_loss'.*did you mean"),
        ("mine:men", "mine has no 'men'.*did you mean mean"),
        ("mine:NUMBER", "mine:NUMBER must be a function, got int"),
        ("mine:needs", r"mine:needs \(mine.py, line 38\).*missing.*'alpha'"),
        ("mine:mean(alpha=2)", "mine:mean.*unexpected keyword argument 'alpha'"),
        ("mine:by_entry(alpha=x)", "mine:by_entry: alpha is x; give a number"),
        ("mine:by_entry(2)", "mine:by_entry takes its parameters by name"),
        ("mine:", "mine: cannot be read; write package.module:function"),
        ("nowhere.at_all:loss", "no module 'nowhere' here"),
        ("broken:loss", r"broken:loss failed in broken.py, line 3: SyntaxError"),
        ("stops:loss", r"stops:loss failed in stops.py, line 3 \(sys.exit\('no'\)\): SystemExit"),
        ("lacks:loss", r"lacks:loss failed in lacks.py, line 2 \(import .*ModuleNotFoundError"),
    ],
)
def test_mistakes_are_named(losses, words):
    with pytest.raises(ComparisonError, match=words) as caught:
        choose(losses)
    assert "\n" not in str(caught.value)


def test_zero_decides_where_a_term_does():
    def ranks(logits, labels):
        return logits.mean()

    ranks.zero_decides = False
    decides = {
        "lsep_loss": False,
        "lsep_loss+0.1*softmax_cross_entropy": False,
        "lsep_loss+dice_loss": True,
        "mine:mean": True,
    }
    assert {text: parse(text).zero_decides for text in decides} == decides
    own_word = {"a": ranks, "b": mll.lsep_loss, "c": mll.weighted_sum({mll.lsep_loss: 1, own: 2})}
    assert [choice.zero_decides for choice in choose(own_word)] == [False, False, True]


# What the data and the model give.


def test_a_sum_is_the_sum_of_its_terms():
    dataset = make_dataset(masked=True)
    y, where = dataset.y_train, dataset.mask_train
    text = "balanced_binary_cross_entropy+0.5*dice_loss(smooth=2)+2*mine:by_entry(alpha=3)"
    bound = bound_loss.bind(text, dataset)
    logits = outputs_of(bound)
    alpha = bound_loss.FROM_LABELS["alpha"](dataset)
    squares = ((logits - y) ** 2)[where]
    oracle = (
        mll.balanced_binary_cross_entropy(logits, y, alpha=alpha, where=where)
        + 0.5 * mll.dice_loss(logits, y, smooth=2, where=where)
        + 2 * 3 * squares.mean()
    )
    assert bound.loss(logits, y, where=where) == pytest.approx(float(oracle), rel=1e-5)
    assert bound.given == "alpha of balanced_binary_cross_entropy"
    assert bound.takes_where


def test_penalties_of_a_sum_are_added_to_its_other_losses():
    dataset = make_dataset()
    y = dataset.y_train
    edges = "hierarchy_penalty(edges=[[0, 1]])"
    penalty = functools.partial(mll.hierarchy_penalty, edges=np.array([[0, 1]]))
    bound = bound_loss.bind(f"zlpr_loss+0.5*{edges}", dataset)
    logits = outputs_of(bound)
    oracle = mll.zlpr_loss(logits, y) + 0.5 * penalty(logits, y)
    assert bound.loss(logits, y) == pytest.approx(float(oracle), rel=1e-6)
    assert "cross-entropy" not in bound.given
    bound = bound_loss.bind(f"0.5*{edges}", dataset)
    oracle = mll.sigmoid_binary_cross_entropy(logits, y) + 0.5 * penalty(logits, y)
    assert bound.loss(logits, y) == pytest.approx(float(oracle), rel=1e-6)
    assert "which it is added to" in bound.given


def test_terms_share_heads_of_one_name():
    dataset = make_dataset()
    y = dataset.y_train
    bound = bound_loss.bind(
        "factorized_count_loss+multilabel_distillation_loss+2*factorized_count_loss", dataset
    )
    assert bound.num_outputs == 3 + 1 + 3
    outputs = outputs_of(bound)
    logits, count, teacher = outputs[:, :3], outputs[:, 3], outputs[:, 4:]
    oracle = (
        3 * mll.factorized_count_loss(logits, y, count_logits=count)
        + mll.multilabel_distillation_loss(logits, y, teacher_logits=teacher)
        + mll.sigmoid_binary_cross_entropy(teacher, y)
    )
    assert bound.loss(outputs, y) == pytest.approx(float(oracle), rel=1e-6)
    assert bound.given == (
        "a head for count_logits, a head for teacher_logits, binary cross-entropy of that head"
    )


def test_values_of_the_users_own_are_averaged_over_what_counts():
    dataset = make_dataset(masked=True)
    y, where = dataset.y_train, dataset.mask_train.copy()

    def by_row(logits, labels, where):
        assert where.shape == logits.shape
        return jnp.sum(where * (logits - labels) ** 2, axis=1)

    where[:5] = False
    logits = outputs_of(bound_loss.bind("zlpr_loss", dataset))
    squares = (logits - y) ** 2
    rows = (where * squares).sum(1)[where.any(1)]
    for function, oracle in ((own, squares[where].mean()), (by_row, rows.mean())):
        [choice] = choose([function])
        bound = bound_loss.bind(choice, dataset)
        assert bound.loss(logits, y, where=where) == pytest.approx(oracle, rel=1e-5)
        broken = np.where(where, logits, np.nan)
        if function is own:
            assert bound.loss(broken, y, where=where) == pytest.approx(oracle, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mine:breaks", [r"mine.py, line 12 (product = logits @ logits)", "TypeError"]),
        ("zlpr_loss+0.5*mine:breaks", ["mine:breaks failed in mine.py, line 12"]),
        ("mine:deep", [r"mine.py, line 16 (return mll.hinge_loss", "ValueError", "shape"]),
        ("mine:on_host", ["mine.py, line 19", "TracerArrayConversionError"]),
        ("mine:shape", ["mine.py, line 21", "returned shape (3,)", "of shape (4, 3)"]),
        ("mine:counted", ["mine.py, line 24", "returned shape () of int32", "of a float"]),
        ("mine:nothing", ["mine.py, line 27", "returned a NoneType"]),
        ("mine:nan", ["mine.py, line 32 (bad = jnp.log", "a value that is not finite"]),
        ("mine:nan_slope", ["mine.py, line 35", "a slope that is not finite"]),
    ],
)
def test_failures_show_the_users_own_line(text, words):
    with pytest.raises(ComparisonError) as caught:
        bound_loss.bind(text, make_dataset())
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_unknown_labels_need_a_function_that_takes_where():
    words = r"mine:mean \(mine.py, line 8\) takes no `where`, but toy has unknown labels"
    with pytest.raises(ComparisonError, match=words):
        bound_loss.bind("mine:mean", make_dataset(masked=True))
    assert not bound_loss.bind("mine:mean+zlpr_loss", make_dataset()).takes_where


def test_very_many_labels_need_losses_of_this_package():
    whys = {text: bound_loss.why_not_through_head(parse(text)) for text in (*SUMS, "hinge_loss")}
    assert whys["asymmetric_loss+0.5*dice_loss"] == "is a sum"
    assert whys["mine:mean"] == "is no loss of this package"
    assert whys["hinge_loss"] is None


# Training.


def test_rows_are_left_out_of_a_loss_without_where():
    """It trains the models of the same loss with `where`, which is also the squared error."""
    losses = ["mine:mean", "mine:by_entry", {"by hand": own}]
    found = [compare(make_dataset(), losses=each, num_seeds=1) for each in losses]
    kernels = [next(iter(each.outcomes.values())).params["kernel"][0] for each in found]
    held = [next(iter(each.outcomes.values())).held.scores for each in found]
    for kernel, scores in zip(kernels[1:], held[1:], strict=True):
        np.testing.assert_allclose(kernel, kernels[0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(scores, held[0], rtol=2e-2, atol=2e-3)
    # Ridge regression by its normal equations.
    data = found[0].dataset
    [outcome] = found[0].outcomes.values()
    x, y = data.x_train.astype(float), data.y_train.astype(float)
    centred = x - x.mean(0)
    gram = 2 * centred.T @ centred / y.size + outcome.chosen["strength"] * np.eye(4)
    oracle = np.linalg.solve(gram, 2 * centred.T @ y / y.size)
    np.testing.assert_allclose(kernels[0], oracle, atol=2e-3)


def test_a_folder_keeps_functions_by_their_names(here):
    options = {"num_seeds": 1, "out": here / "out"}
    losses = [own, "zlpr_loss+0.5*mine:mean"]
    label = str(choose([own])[0])
    first = compare(make_dataset(), losses=losses, **options)
    assert list(first.results) == [label, "zlpr_loss+0.5*mine:mean"]
    told = []
    again = compare(
        make_dataset(),
        losses=[*losses, "hill_loss"],
        on_progress=lambda *now: told.append(now[2]),
        **options,
    )
    assert list(again.results) == [*first.results, "hill_loss"]
    assert [text for text in dict.fromkeys(told) if "training" in text] == ["training: hill_loss"]
    named = {"by hand": own}
    compare(make_dataset(), losses=named, num_seeds=1, out=here / "named")
    with pytest.raises(Occupied, match=r"holds the loss by hand.*give its function again"):
        compare(make_dataset(), losses="zlpr_loss", num_seeds=1, out=here / "named")
    assert "by hand" in str(compare(make_dataset(), losses=named, num_seeds=1, out=here / "named"))


def test_the_mlp_trains_sums_of_functions(monkeypatch):
    monkeypatch.setattr(steps_search, "FIRST", [(0, 0)])
    monkeypatch.setattr(steps_search, "THEN", ())
    comparison = compare(make_dataset(), losses="zlpr_loss+0.5*mine:mean", model="mlp", num_seeds=1)
    [figures] = comparison.results.values()
    assert figures["map"]["mean"] > 0.6
