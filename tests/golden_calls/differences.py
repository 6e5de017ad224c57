"""Deliberate differences from the authors' own code: what is asserted in place of agreement."""

from collections.abc import Callable

import numpy as np

from golden_calls.registry import Case
from golden_calls.single_positive import pseudo_labels


def close(ours, stored, case):
    rtol, atol = case.stored["rtol_expected"], 1e-12
    if case.dtype == np.float32:
        rtol, atol = 2e-5, 1e-6
    np.testing.assert_allclose(ours, stored, rtol=rtol, atol=atol)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sums_in_float32(case, value, gradient, stored, stored_gradient):
    """The source takes the mean in float32 whatever the dtype of its inputs."""
    del case
    np.testing.assert_allclose(value, stored, rtol=2e-7)
    np.testing.assert_allclose(gradient, stored_gradient, rtol=6e-9)


def computes_in_float32(case, value, gradient, stored, stored_gradient):
    """The source computes in float32 whatever the dtype of its inputs."""
    del case
    np.testing.assert_allclose(value, stored, rtol=2e-7)
    np.testing.assert_allclose(gradient, stored_gradient, rtol=2e-7)


def empty_rows_are_zero(case, value, gradient, stored, stored_gradient):
    """The source gives NaN for a row without positives; ours gives 0 for that row alone."""
    empty = case.labels.sum(-1) == 0
    assert empty.any()
    assert np.all(gradient[empty] == 0)
    assert np.all(np.isnan(stored_gradient[empty]))
    close(gradient[~empty], stored_gradient[~empty], case)
    if value.ndim:
        assert np.all(value[empty] == 0)
        close(value[~empty], stored[~empty].sum(-1), case)
    else:
        assert np.isnan(stored)
        assert np.isfinite(value)


def no_positive_is_zero(case, value, gradient, stored, stored_gradient):
    """The source gives NaN for a batch without positives; ours gives 0, as timm does."""
    del stored_gradient
    assert not np.any(case.labels > 0)
    assert np.isnan(stored)
    assert value == 0
    assert np.all(gradient == 0)


def rows_without_pairs_are_zero(case, value, gradient, stored, stored_gradient):
    """The source gives NaN for a batch in which a row has no pair; ours gives 0 for that row."""
    without = np.isin(case.labels.sum(-1), (0, case.labels.shape[-1]))
    assert without.any()
    assert np.isnan(stored)
    assert np.isfinite(value)
    assert np.all(gradient[without] == 0)
    assert np.all(np.isnan(stored_gradient[without]))
    close(gradient[~without], stored_gradient[~without], case)


def away_from_the_saddle(case, value, gradient, stored, stored_gradient):
    """The source's variables a, b and α are not at the optimum, as ours are; or it has a bug.

    Its formula, with the bugs noted below, gives its value; without them, at the optimum, ours.
    """
    del gradient, stored_gradient
    columns = [case.params["column"]] if case.name == "auc_m" else range(case.labels.shape[-1])
    version, margin = case.params["version"], case.params["margin"]

    def saddle(h, y, a, b, alpha, fixed):
        p, n, share = h[y > 0], h[y == 0], y.mean()
        m, pushed = margin, n.mean()
        if not fixed and version == "v1" and case.name == "auc_m_multilabel":
            m = 1  # the margin is ignored
        if not fixed and version == "v2" and case.name == "auc_m":
            pushed = (1 - share) * pushed  # a mean over the batch, not over the negatives
        spread = ((p - a) ** 2).mean() + ((n - b) ** 2).mean()
        result = spread + 2 * alpha * (m + pushed - p.mean()) - alpha**2
        return result * (share * (1 - share) if version == "v1" else 1)

    theirs, ours = [], []
    for k, c in enumerate(columns):
        h, y = sigmoid(case.array("logits")[:, c]), case.labels[:, c]
        if y.min() == y.max():
            theirs.append(np.nan if version == "v2" else 0.0)
            ours.append(0.0)
            continue
        given = [case.stored["extra"][name][k] for name in ("a", "b", "alpha")]
        a, b = h[y > 0].mean(), h[y == 0].mean()
        theirs.append(saddle(h, y, *given, False))
        ours.append(saddle(h, y, a, b, max(0, margin + b - a), True))
    close(value, np.mean(ours), case)
    if np.isfinite(stored):  # it divides by the number of nonzero squares, 0/0 for a single one
        close(np.mean(theirs), stored, case)


def offset_of_logarithm(case, value, gradient, stored, stored_gradient):
    """The source takes log(p + 1e-5) for log p; that offset is the whole difference."""
    x, y = case.array("logits"), case.labels
    e = 1e-5
    if case.name == "spml_iu":
        positive, negative = (y > 0) * 1.0, (y < 0) * 1.0
    else:
        s = case.params.get("ls_coef", 0)
        y = (1 - s) * y + s * (1 - y)
        positive, negative = y, (1 - y) * (1 / 6 if case.name == "spml_wan" else 1)
    p, q = sigmoid(x), sigmoid(-x)
    offset = positive * np.log1p(e / p) + negative * np.log1p(e / q)
    slope = -positive * q * e / (p + e) + negative * p * e / (q + e)
    close(value - offset.mean(), stored, case)
    close(gradient - slope / x.size, stored_gradient, case)
    assert 0 < offset.mean() < 1e-3


def offset_of_every_logarithm(case, value, gradient, stored, stored_gradient):
    """The source takes log(p + 1e-5) for log p, in entropies too; that is the whole difference."""
    x, y = case.array("logits"), case.labels
    e, p, q = 1e-5, sigmoid(x), sigmoid(-x)
    observed = (y > 0) * 1.0
    terms, of_coefficients = [(x, observed, 0 * p)], 0  # logits, factors of -log p and -log(1 - p)
    if case.name == "spml_role":
        g = case.array("est")
        terms = [(x, (sigmoid(g) + observed) / 2, sigmoid(-g) / 2), (g, (p + observed) / 2, q / 2)]
    elif case.name != "spml_epr":
        where, soft, beta = pseudo_labels(case)
        alpha = np.where((y > 0) | where, 0, case.params["alpha"])
        positive = observed + np.where(where, beta * soft, -alpha * p)
        terms = [(x, positive, np.where(where, beta * (1 - soft), -alpha * q) * (y <= 0))]
        of_coefficients = -alpha * p * q * (np.log1p(e / p) - np.log1p(e / q))
    offset = sum(
        np.sum(a * np.log1p(e / sigmoid(z)) + b * np.log1p(e / sigmoid(-z))) for z, a, b in terms
    )
    _, a, b = terms[0]
    slope = -a * q * e / (p + e) + b * p * e / (q + e) + of_coefficients
    close(value - offset / x.size, stored, case)
    close(gradient - slope / x.size, stored_gradient, case)
    assert 0 < abs(offset / x.size) < 1e-3


def other_f1_form(case, value, gradient, stored, stored_gradient):
    """The source puts epsilon into precision, recall and F1, and clamps; ours uses it once."""
    epsilon = case.params["epsilon"]
    np.testing.assert_allclose(value, stored, rtol=0, atol=epsilon)
    np.testing.assert_allclose(gradient, stored_gradient, rtol=0, atol=epsilon)
    assert value != stored


def soft_pos_weight(case, value, gradient, stored, stored_gradient):
    """Ours has no pos_weight, and `weights` cannot tell the two terms of a soft label apart."""
    del gradient, stored_gradient
    assert np.all((case.labels > 0) & (case.labels < 1))
    assert value / case.params["pos_weight"] < stored < value


def no_power_of_inverse_counts(case, value, gradient, stored, stored_gradient):
    """Ours gives inverse counts, whose square root the source takes before normalising."""
    del gradient, stored, stored_gradient
    root = value**0.5
    close(root * 7 / root.sum(), case.stored["extra"]["class_weight"], case)


def empty_rows_have_a_weight(case, value, gradient, stored, stored_gradient):
    """The source divides by 0 positives; ours gives such a row the weight of infinite counts."""
    empty = case.labels.sum(-1) == 0
    assert empty.any()
    assert np.all(np.isnan(stored[empty]))
    assert np.all(np.isnan(stored_gradient[empty]))
    x, weight = case.array("logits")[empty], 1 - case.params["CB_loss"]["CB_beta"]
    close(value[empty], 2 * weight * sigmoid(x) ** 2 * np.logaddexp(0, x), case)
    close(value[~empty], stored[~empty], case)
    close(gradient[~empty], stored_gradient[~empty], case)
    assert np.all(np.isfinite(gradient))


def positives_are_never_rejected(case, value, gradient, stored, stored_gradient):
    """Where no label is unknown, the source rejects the positives; ours changes nothing."""
    x, y = case.array("logits"), (case.labels > 0) * 1.0
    assert not np.any(case.labels == 0)
    assert np.all(stored_gradient[case.labels > 0] == 0)
    close(value, np.mean(np.logaddexp(0, x) - x * y), case)
    close(gradient, (sigmoid(x) - y) / x.size, case)
    assert stored < value


def squared_probabilities(case, value, gradient, stored, stored_gradient):
    """With squared_pred the source squares p and y in the denominator, as V-Net does."""
    del gradient, stored_gradient
    p, y, s = sigmoid(case.array("logits")), case.labels, case.params["smooth_nr"]
    close(value[..., 0], 1 - (2 * p * y + s) / (p + y + s), case)
    close(stored[..., 0], 1 - (2 * p * y + s) / (p**2 + y**2 + s), case)


def epsilon_in_the_denominator(case, value, gradient, stored, stored_gradient):
    """The source adds 1e-7 to the denominator alone; ours smooths both or neither."""
    p, y, e = sigmoid(case.array("logits")), case.labels, 1e-7
    tp = (p * y).sum()
    total = (
        tp + case.params["alpha"] * ((1 - p) * y).sum() + case.params["beta"] * (p - p * y).sum()
    )
    close(value + tp * e / (total * (total + e)), stored, case)
    np.testing.assert_allclose(gradient, stored_gradient, rtol=0, atol=e)


def offset_of_poisson(case, value, gradient, stored, stored_gradient):
    """The source takes log(rate + 1e-7) for log rate, and the mean in float32."""
    y, small = case.labels, 1e-7 * np.exp(-case.array("logits"))
    value = value - (y * np.log1p(small)).mean()
    gradient = gradient + y * small / (1 + small) / y.size
    sums_in_float32(case, value, gradient, stored, stored_gradient)


def tiny_offset_of_logarithm(case, value, gradient, stored, stored_gradient):
    """The source takes log(p + 1e-7) for log p, which is that much divided by p."""
    del case
    np.testing.assert_allclose(value, stored, rtol=2e-6)
    np.testing.assert_allclose(gradient, stored_gradient, rtol=0, atol=6e-7)


def between_softmax_and_entmax15(case, value, gradient, stored, stored_gradient):
    """Ours has no alpha = 1.25, whose losses are above those of 1.5 and whose gradients differ."""
    assert np.all(value <= stored)
    assert np.abs(gradient - stored_gradient).max() > 1e-3


DIFFERENCES: tuple[tuple[str, Callable[[Case], bool], Callable[..., None]], ...] = (
    ("keras_bce", lambda c: True, sums_in_float32),
    ("keras_binary_focal", lambda c: True, sums_in_float32),
    ("keras_hinge", lambda c: True, computes_in_float32),
    ("kpos_cross_entropy", lambda c: c.params["labels"] == "edge_rows", empty_rows_are_zero),
    ("bp_mll", lambda c: c.params["labels"] == "edge_rows", rows_without_pairs_are_zero),
    (
        "auc_m",
        lambda c: c.params["a_b_alpha"] != "optimum" or c.params["version"] == "v2",
        away_from_the_saddle,
    ),
    (
        "auc_m_multilabel",
        lambda c: (
            c.params["a_b_alpha"] != "optimum"
            or (c.params["version"] == "v1" and c.params["margin"] != 1)
            or c.stored["non_finite_value"]
        ),
        away_from_the_saddle,
    ),
    ("two_way", lambda c: c.params["labels"] == "all zero", no_positive_is_zero),
    ("keras_poisson", lambda c: True, offset_of_poisson),
    ("entmax", lambda c: c.params.get("alpha") == 1.25, between_softmax_and_entmax15),
    ("generalized_robust", lambda c: True, tiny_offset_of_logarithm),
    ("generalized_robust_pseudo", lambda c: True, tiny_offset_of_logarithm),
    ("spml_an", lambda c: True, offset_of_logarithm),
    ("spml_wan", lambda c: True, offset_of_logarithm),
    ("spml_iu", lambda c: True, offset_of_logarithm),
    ("spml_bce_ls", lambda c: True, offset_of_logarithm),
    ("spml_epr", lambda c: True, offset_of_every_logarithm),
    ("spml_role", lambda c: True, offset_of_every_logarithm),
    ("spml_em", lambda c: True, offset_of_every_logarithm),
    ("spml_em_apl", lambda c: True, offset_of_every_logarithm),
    ("spml_vlpl", lambda c: True, offset_of_every_logarithm),
    ("spml_an_ls", lambda c: True, offset_of_logarithm),
    ("large_loss", lambda c: not np.any(c.labels == 0), positives_are_never_rejected),
    ("macro_soft_f1_seed003", lambda c: True, other_f1_form),
    ("monai_overlap", lambda c: "squared_pred" in c.params, squared_probabilities),
    ("keras_overlap", lambda c: c.params["cls"] == "Tversky", epsilon_in_the_denominator),
    (
        "timm_asl",
        lambda c: "pos_weight" in c.params and c.params["labels"] == "soft",
        soft_pos_weight,
    ),
    (
        "distribution_balanced",
        lambda c: c.params["config"].startswith("CB average") and c.params["labels"] != "plain",
        empty_rows_have_a_weight,
    ),
    (
        "timm_class_weights",
        lambda c: c.params["method"] == "inv_freq" and "power" in c.params,
        no_power_of_inverse_counts,
    ),
)


def difference(case: Case) -> Callable[..., None] | None:
    """Returns the assertion that replaces agreement for a case, or None."""
    found = [check for name, applies, check in DIFFERENCES if name == case.name and applies(case)]
    assert len(found) < 2
    return found[0] if found else None
