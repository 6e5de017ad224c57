"""Contrastive losses of embeddings."""

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def mulsupcon(x, case):
    """Without its option for weights the source averages over pairs of an anchor and a label."""
    params = case.params
    by_pair = params["pattern"] == "MulSupCon" and not params["with_weight"]
    return mll.multilabel_contrastive_loss(
        x,
        case.labels,
        weighting=params["pattern"].lower(),
        temperature=params["temperature"],
        weights=case.labels.sum(-1) if by_pair else None,
        reduction="weighted_mean" if by_pair else "mean",
    )
