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


@golden
def atlop_adaptive_threshold(x, case):
    t = case.array("threshold_logits")
    return mll.adaptive_threshold_loss(x, case.labels, threshold_logits=t, reduction="none")


@golden
def ncrl_none_class_ranking(x, case):
    return mll.none_class_ranking_loss(
        x,
        case.labels,
        threshold_logits=case.array("threshold_logits"),
        shift=case.params["shift"],
        regularize=case.params["regulariser"],
        reduction="none",
    )
