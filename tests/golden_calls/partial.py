"""Losses for missing labels."""

import jax.numpy as jnp

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def spml_an_ls(x, case):
    return mll.assume_negative_loss(x, case.labels, label_smoothing=case.params["ls_coef"])


@golden
def spml_wan(x, case):
    return mll.weak_assume_negative_loss(x, case.labels)


@golden
def large_loss(x, case):
    loss = {"LL-R": mll.large_loss_rejection, "LL-Ct": mll.large_loss_correction}
    return loss[case.params["mod_scheme"]](
        x,
        case.labels > 0,
        relative_rate=1 - case.params["clean_rate"],
        annotated=jnp.asarray(case.labels != 0),
    )


@golden
def large_loss_cp(x, case):
    params = case.params
    as_published = params["comparison"] == "unmodified (is)"
    rate = 1 - params["clean_rate"] if as_published else params["delta_rel"]
    return mll.large_loss_correction(x, case.labels, relative_rate=rate)


@golden
def csl(x, case):
    y, annotated = mll.labels.from_minus_one_unknown(case.labels)
    params = case.params
    names = ("gamma_pos", "gamma_neg", "alpha_pos", "alpha_neg", "clip", "prior_threshold")
    return mll.class_aware_selective_loss(
        x,
        y,
        annotated=annotated,
        mode=params["partial_loss_mode"] or "negative",
        gamma_unannotated=params["gamma_unann"],
        alpha_unannotated=params["alpha_unann"],
        prior=case.array("prior") if params["use_prior"] else None,
        likelihood_topk=params["likelihood_topk"],
        reduction="sum",
        **{name: params[name] for name in names},
    )


@golden
def mlcpl_partial(x, case):
    y, known = mll.labels.from_minus_one_unknown(case.labels)
    params = case.params
    if params["function"] == "PartialNegativeBCEWithLogitLoss":
        return mll.assume_negative_loss(x, y)
    if "gamma" in params:
        focus = {"gamma_pos": params["gamma"], "gamma_neg": params["gamma"], "clip": 0}
        return mll.asymmetric_loss(x, y, where=known, **focus)
    if "gamma_neg" in params:
        focus = {name: params[name] for name in ("gamma_pos", "gamma_neg", "clip")}
        return mll.asymmetric_loss(x, y, where=known, **focus)
    if params.get("normalize"):
        return mll.class_aware_selective_loss(
            x,
            y,
            where=known,
            mode="ignore_normalize_classes",
            gamma_neg=0,
        )
    return mll.sigmoid_binary_cross_entropy(x, y, where=known)
