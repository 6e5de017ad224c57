"""Which losses are recommended for labels of which kind."""

import numpy as np
import pytest
from comparison_inputs import make_dataset

from mllosses_jax.cli.main import main
from mllosses_jax.compare.advice import advise
from mllosses_jax.compare.bound_loss import bind, bind_to_head, why_not_through_head
from mllosses_jax.compare.choosing import choose
from mllosses_jax.compare.plan import Plan, Request
from mllosses_jax.data import Dataset

ROWS, LABELS = 200, 5
BASELINE = "sigmoid_binary_cross_entropy"


def dataset_of(y, known=None):
    x = np.zeros((len(y), 3), np.float32)
    names = tuple(f"label {index}" for index in range(y.shape[1]))
    return Dataset(name="d", x_train=x, y_train=y, label_names=names, mask_train=known)


def drawn(*shares, rows=ROWS):
    """Returns labels of which each has this share of positives."""
    y = np.zeros((rows, len(shares)), bool)
    for column, share in enumerate(shares):
        y[: round(share * rows), column] = True
        y[:, column] = np.roll(y[:, column], 31 * column)
    return y


def one_per_row():
    return np.arange(ROWS)[:, None] % LABELS == np.arange(LABELS)


def few_known():
    known = np.random.default_rng(0).random((ROWS, LABELS)) < 0.2
    return dataset_of(drawn(*[0.3] * LABELS) & known, known)


CASES = {
    "plain": (
        dataset_of(drawn(0.4, 0.3, 0.5)),
        [BASELINE, "two_way_loss", "zlpr_loss"],
        "A row has 1.2 labels",
    ),
    "one per row": (
        dataset_of(one_per_row()),
        [BASELINE, "hill_loss", "softmax_cross_entropy"],
        "exactly one positive",
    ),
    "sparse": (
        dataset_of(drawn(0.05, 0.05, 0.1)),
        [BASELINE, "asymmetric_loss(gamma_neg=2)", "two_way_loss"],
        "Only 6.7% of the labels",
    ),
    "very sparse": (
        dataset_of(drawn(0.02, 0.02, 0.02)),
        [BASELINE, "asymmetric_loss(gamma_neg=4)", "two_way_loss"],
        "Only 2.0% of the labels",
    ),
    "imbalanced": (  # (1 + 40 + 20) / 3 times the positives
        dataset_of(drawn(0.8, 0.02, 0.04)),
        [BASELINE, "distribution_balanced_loss", "two_way_loss"],
        "has 20 times the positives",
    ),
    "few known": (few_known(), [BASELINE, "zlpr_loss", "asymmetric_loss"], "unknown labels"),
    "very many": (
        dataset_of(drawn(*[0.005] * 2001)),
        [BASELINE, "softmax_cross_entropy", "asymmetric_loss(gamma_neg=4)"],
        "Look at P@k",
    ),
    "nothing": (
        dataset_of(np.zeros((ROWS, 2), bool)),
        [BASELINE, "asymmetric_loss(gamma_neg=4)", "two_way_loss"],
        "Only 0.0%",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_labels_decide(name):
    dataset, losses, said = CASES[name]
    found = advise(dataset)
    assert [advice.loss for advice in found] == losses
    assert any(said in advice.why for advice in found)


@pytest.mark.parametrize("name", CASES)
def test_what_is_advised_can_be_compared(name):
    dataset, losses, _ = CASES[name]
    choices = choose(losses)
    assert {choice.label for choice in choices} == set(losses)
    for choice in choices:
        if len(dataset.label_names) > 2000:
            assert why_not_through_head(choice) is None
            bind_to_head(choice, dataset)
        else:
            bind(choice, dataset)


def test_check_prints_the_command_that_compares_them(tmp_path, capsys):
    data = make_dataset(labels=9)
    path = tmp_path / "my data.npz"
    np.savez(path, X_train=data.x_train, Y_train=data.y_train)
    assert main(["check", str(path)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith(f"mllosses compare '{path}' --losses {BASELINE},")
    assert "label 7 and 1 more" in " ".join(printed.split())


def test_the_command_reads_the_file_as_check_did(tmp_path, capsys):
    path = tmp_path / "data.csv"
    path.write_text("a,b,c,label:x,label:y\n" + "1,2,3,1,0\n4,5,6,0,1\n" * 5)
    assert main(["check", str(path), "--drop", "b,c"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"mllosses compare {path} --drop b,c --losses {BASELINE},")


@pytest.mark.parametrize(("labels", "model"), [(2000, "linear"), (2001, "linear_head")])
def test_above_two_thousand_labels_a_head_is_trained(labels, model):
    asked = {"metrics": (), "model": "linear", "num_seeds": 1, "ignore": ()}
    request = Request.of(losses=BASELINE, grid=False, **asked)
    assert Plan.of(request, dataset_of(drawn(*[0.5] * labels))).settings.model == model
