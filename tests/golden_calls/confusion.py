"""Losses of all four soft counts."""

import mllosses_jax as mll
from golden_calls.registry import golden


@golden
def smp_mcc(x, case):
    return mll.soft_mcc_loss(x, case.labels, smooth=case.params["eps"], average="micro")
