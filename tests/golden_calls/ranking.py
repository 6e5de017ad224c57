"""Ranking losses."""

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def zlpr(x, case):
    return mll.zlpr_loss(x, case.labels, reduction="none")


@golden
def timm_zlpr(x, case):
    return mll.zlpr_loss(x, case.labels)


@golden
def two_way(x, case):
    y, where = mll.labels.from_minus_one_unknown(case.labels)
    return mll.two_way_loss(
        x,
        y,
        where=where,
        positive_temperature=case.params["Tp"],
        negative_temperature=case.params["Tn"],
    )


@golden
def timm_two_way(x, case):
    return mll.two_way_loss(
        x,
        case.labels,
        positive_temperature=case.params["tp"],
        negative_temperature=case.params["tn"],
    )
