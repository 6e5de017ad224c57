"""Robust and margin losses."""

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def hill(x, case):
    params = {name: case.params[name] for name in ("margin", "gamma", "lamb")}
    return mll.hill_loss(x, case.labels, reduction=case.reduction, **params)


@golden
def splc(x, case):
    params = case.params
    return mll.splc_loss(
        x,
        case.labels,
        correct=params["epoch"] >= params["change_epoch"],
        threshold=params["tau"],
        margin=params["margin"],
        gamma=params["gamma"],
        reduction=case.reduction,
    )


@golden
def keras_hinge(x, case):
    squared = case.params["cls"] == "SquaredHinge"
    return (mll.squared_hinge_loss if squared else mll.hinge_loss)(x, case.labels)
