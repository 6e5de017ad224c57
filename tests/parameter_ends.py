"""The ends of the parameters of losses, to which the contract suite sets each of them.

An end is a bound that the loss checks or, for a parameter without one, a value beyond all use. A
bound of 0 comes with numbers whose square underflows: there a derivative is most likely to be 0
times infinity.
"""

from cases import CASES, Case

_SHARE = (0.0, 1e-30, 1e-7, 1.0)
_SCALE = (0.0, 1e-30, 1e4)
_EXPONENT = (0.0, 1e-30, 100.0)
_REAL = (-1e4, 0.0, 1e4)
_TEMPERATURE = (1e-7, 1e-3, 1e30)
_SMALL = (1e-37, 1e-18, 1.0, 1e30)
_COST = (0.0, 1e-18, 1e10, 1e15)

_ENDS_BY_NAME: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(("alpha", "clip", "label_smoothing", "prior", "prior_threshold", "q"), _SHARE),
    **dict.fromkeys(("label_frequencies", "relative_rate", "shift", "threshold"), _SHARE),
    **dict.fromkeys(("lamb_high", "lamb_low", "q2", "q3", "rho"), _SHARE),
    **dict.fromkeys(("b", "w"), _REAL),
    "sigma": (1e-6, 1e-3, 1e4),
    **dict.fromkeys(("gamma", "gamma_neg", "gamma_pos", "gamma_unannotated"), _EXPONENT),
    **dict.fromkeys(("alpha_neg", "alpha_pos", "alpha_unannotated", "balance", "beta"), _SCALE),
    **dict.fromkeys(("count_weight", "epsilon_neg", "epsilon_pos", "expected_positives"), _SCALE),
    **dict.fromkeys(("kappa", "lamb", "margin", "max_margin", "mu", "scale", "tau"), _SCALE),
    **dict.fromkeys(("temperature", "positive_temperature", "negative_temperature"), _TEMPERATURE),
    "epsilon": _SMALL,
    "epsilon_pos_pow": (-100.0, 0.0, 100.0),
    **dict.fromkeys(("b_neg", "b_pos"), _REAL),
    "eta": (-1e8, 0.0, 1e8),
    **dict.fromkeys(("k_neg", "k_pos"), (1e-15, 1e4)),
    "label_counts": (0.0, 1.0, 200.0),
    "max_fpr": (0.0, 0.5, 1.0),
    "neg_scale": (1e-15, 1e4),
    "num_samples": (2.0, 1e9),
    "propensity": (1e-18, 1.0),
    "smooth": (0.0, 1e-18, 1e30),
    **dict.fromkeys(("zeta_neg", "zeta_pos"), (1e-15, 1e4)),
}
_ENDS_BY_LOSS: dict[tuple[str, str], tuple[float, ...]] = {
    ("abs_kl_divergence", "epsilon"): (1e-30, 1e-18, 1.0),
    ("auc_margin_loss", "margin"): _COST,
    ("focal_tversky_loss", "alpha"): _COST,
    ("generalized_robust_loss", "mu"): _SHARE,
    ("focal_tversky_loss", "beta"): _COST,
    ("focal_tversky_loss", "gamma"): (0.0, 1e-18, 1e3),
    ("pairwise_auc_loss", "margin"): _COST,
    ("partial_auc_loss", "margin"): _COST,
    ("partial_auc_loss", "temperature"): (1e-3, 1.0, 1e3),
    ("partial_binary_cross_entropy", "alpha"): _REAL,
    ("partial_binary_cross_entropy", "gamma"): (-10.0, 0.0, 100.0),
    ("poly1_binary_cross_entropy", "epsilon"): _REAL,
    ("poly1_focal_loss", "epsilon"): _REAL,
    ("quality_focal_loss", "beta"): _EXPONENT,
    ("sigmoid_f1_loss", "beta"): (1e-15, 1.0, 1e8),
    ("soft_fbeta_loss", "beta"): _COST,
    ("soft_mcc_loss", "smooth"): (1e-7, 1e-5, 1e30),
    ("tversky_loss", "alpha"): _COST,
    ("tversky_loss", "beta"): _COST,
}

# As documented, extreme logits divided by such a parameter, or by its square, overflow.
OVERFLOWING = {
    ("distribution_balanced_loss", "neg_scale"),
    ("multilabel_distillation_loss", "temperature"),
    ("strictly_proper_asymmetric_loss", "zeta_neg"),
    ("strictly_proper_asymmetric_loss", "zeta_pos"),
    ("unbiased_binary_cross_entropy", "propensity"),
}


def numbers_of(case: Case) -> dict[str, float]:
    """Returns the parameters of a case that are real numbers, with their values."""
    return {
        name: float(value)
        for name, value in {**case.entry.own_parameters, **case.kwargs}.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and name not in ("k", "likelihood_topk", "num_bins")  # numbers of entries or bins
    }


def ends_of(case: Case, parameter: str) -> tuple[float, ...]:
    """Returns the ends of a parameter of a case."""
    return _ENDS_BY_LOSS.get((case.name, parameter), _ENDS_BY_NAME.get(parameter))


def _options(case: Case) -> tuple:
    """Returns the name of a case and the parameters that select another program."""
    chosen = {k: v for k, v in case.kwargs.items() if isinstance(v, str | bool | None)}
    return case.name, *sorted(chosen.items(), key=str)


# One row for each choice of options: the first with a number among its parameters.
WITH_ENDS: tuple[Case, ...] = tuple(
    {_options(case): case for case in reversed(CASES) if numbers_of(case)}.values()
)[::-1]
