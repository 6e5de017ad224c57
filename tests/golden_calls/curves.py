"""Surrogates of areas under curves."""

import numpy as np

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def smooth_ap(x, case):
    size = case.params["batch_size"]
    kind = np.arange(size) * case.params["num_id"] // size
    same = kind[:, None] == kind[None, :]  # each query is a label, and a positive of itself
    return mll.smooth_ap_loss(x @ x.T, same, temperature=case.params["anneal"])


@golden
def pairwise_auc(x, case):
    y, kwargs = case.labels, {}
    if "column" in case.params:
        c = case.params["column"]
        x, y = x[:, c : c + 1], y[:, c : c + 1]
    else:  # here the rows are the lists to rank
        x, y, kwargs = x.T, y.T, {"reduction": "none"}
    surrogate, margin = case.params["surr_loss"], case.params["hparam"]
    return mll.pairwise_auc_loss(x, y, surrogate=surrogate, margin=margin, **kwargs)


def _auc_margin(x, y, case):
    share = y.mean(0)
    weights = share * (1 - share) if case.params["version"] == "v1" else np.ones_like(share)
    return mll.auc_margin_loss(x, y, margin=case.params["margin"], weights=weights)


@golden
def auc_m(x, case):
    c = case.params["column"]
    return _auc_margin(x[:, c : c + 1], case.labels[:, c : c + 1], case)


@golden
def auc_m_multilabel(x, case):
    return _auc_margin(x, case.labels, case)
