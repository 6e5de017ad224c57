"""Soft F1 losses."""

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def macro_soft_f1(x, case):
    return mll.soft_f1_loss(x, case.labels, epsilon=1e-16)


@golden
def macro_soft_f1_sigmoidf1repo(x, case):
    return mll.soft_f1_loss(x, case.labels, epsilon=1e-16)


@golden
def macro_soft_f1_seed003(x, case):
    return mll.soft_f1_loss(x, case.ids, activation="softmax", epsilon=case.params["epsilon"])


@golden
def macro_double_soft_f1(x, case):
    return mll.double_soft_f1_loss(x, case.labels, epsilon=1e-16)


@golden
def sigmoid_f1(x, case):
    return mll.sigmoid_f1_loss(
        x,
        case.labels,
        beta=-case.params["S"],
        eta=case.params["E"],
        applied_to="probabilities",
        epsilon=1e-16,
    )
