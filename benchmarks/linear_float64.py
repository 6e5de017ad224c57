"""An independent solution of linear models: five losses in NumPy float64, minimised by SciPy.

Values and slopes are written from the formulas and share no code with the package.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize, sparse
from scipy.special import expit, logsumexp

Array = np.ndarray[Any, Any]
Loss = Callable[[Array, Array, Array], tuple[float, Array]]


@dataclasses.dataclass(frozen=True)
class Solution:
    """The result of the minimisation.

    Attributes:
        weights: the weights, (D, L).
        bias: the bias, (L,).
        value: the objective, with its penalty.
        gradient_ratio: the norm of its gradient, as a fraction of that at the log odds.
        iterations: the number of iterations of L-BFGS.
    """

    weights: Array
    bias: Array
    value: float
    gradient_ratio: float
    iterations: int


def solve_float64(
    loss: str | Loss,
    x: Any,
    y: Array,
    mask: Array | None,
    strength: float,
    *,
    weights: Array | None = None,
    bias: Array | None = None,
    max_iterations: int = 10_000,
) -> Solution:
    """Minimises loss(x @ weights + bias) + strength / 2 * ||weights||^2.

    The bias is not penalised. It starts at the log-odds of the labels, and the weights start at 0.

    Args:
        loss: a name in `LOSSES`, or a function like those in it.
        x: (N, D) features, an array or a sparse matrix.
        y: (N, L) labels, 0 or 1.
        mask: (N, L), True where a label is known; None if all are known.
        strength: the weight of the penalty.
        weights: the weights to start from instead, (D, L).
        bias: the bias to start from instead, (L,).
        max_iterations: the most iterations of L-BFGS.
    """
    function = LOSSES[loss] if isinstance(loss, str) else loss
    x = sparse.csr_matrix(x, dtype=np.float64) if sparse.issparse(x) else np.asarray(x, np.float64)
    y = np.asarray(y, bool)
    known = np.ones_like(y) if mask is None else np.asarray(mask, bool)
    shape = x.shape[1], y.shape[1]
    split = shape[0] * shape[1]
    transposed = x.T.tocsr() if sparse.issparse(x) else x.T

    def objective(parameters: Array) -> tuple[float, Array]:
        kernel = parameters[:split].reshape(shape)
        value, slope = function(x @ kernel + parameters[split:], y, known)
        value += strength / 2 * float(np.sum(kernel**2))
        gradient = transposed @ slope + strength * kernel
        return value, np.concatenate([gradient.ravel(), slope.sum(axis=0)])

    at_odds = np.concatenate([np.zeros(split), log_odds(y, known)])
    start, at_start = at_odds.copy(), objective(at_odds)[1]
    if weights is not None:
        start[:split] = weights.ravel()
    if bias is not None:
        start[split:] = bias
    options = {
        "maxcor": 20,
        "maxiter": max_iterations,
        "maxfun": 2 * max_iterations,
        "ftol": 0,  # continue until the gradient is small or no step is a descent
        "gtol": 1e-10 * float(np.max(np.abs(at_start))),
    }
    end = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    return Solution(
        weights=end.x[:split].reshape(shape),
        bias=end.x[split:],
        value=float(end.fun),
        gradient_ratio=float(np.linalg.norm(objective(end.x)[1]) / np.linalg.norm(at_start)),
        iterations=int(end.nit),
    )


def log_odds(y: Array, known: Array) -> Array:
    """Returns the log-odds of each label, (L,); in a constant label, half a case is changed."""
    cases = np.maximum(known.sum(axis=0), 1)
    positives = np.clip((y & known).sum(axis=0), 0.5, cases - 0.5)
    odds: Array = np.log(positives) - np.log(cases - positives)
    return odds


def cross_entropy(x: Array, y: Array, known: Array) -> tuple[float, Array]:
    """Returns the mean over known entries and its slope: log(1 + exp(x)) − y·x."""
    return _mean(np.logaddexp(0, x) - y * x, expit(x) - y, known)


def focal(x: Array, y: Array, known: Array, gamma: float = 2) -> tuple[float, Array]:
    """Returns the mean over known entries and its slope: −(1 − p)^γ·log p for the true p."""
    sign = np.where(y, 1, -1)
    p, q, entropy = expit(sign * x), expit(-sign * x), np.logaddexp(0, -sign * x)
    slope = -sign * q**gamma * (gamma * p * entropy + q)
    return _mean(q**gamma * entropy, slope, known)


def asymmetric(
    x: Array,
    y: Array,
    known: Array,
    gamma_neg: float = 4,
    gamma_pos: float = 1,
    clip: float = 0.05,
) -> tuple[float, Array]:
    """Returns the mean over known entries and its slope, with no part held constant.

    Positives have a focal loss with gamma_pos; negatives −s^γ·log(1 − s) with s = max(p − clip, 0).
    """
    p, q, entropy = expit(x), expit(-x), np.logaddexp(0, -x)
    shifted = np.maximum(p - clip, 0)
    rest = np.log1p(-shifted)
    of_shifted = shifted**gamma_neg / (1 - shifted)
    of_shifted = of_shifted - gamma_neg * shifted ** (gamma_neg - 1) * rest
    values = np.where(y, q**gamma_pos * entropy, -(shifted**gamma_neg) * rest)
    positive = -(q**gamma_pos) * (gamma_pos * p * entropy + q)
    negative = np.where(p > clip, p * q * of_shifted, 0)
    return _mean(values, np.where(y, positive, negative), known)


def zlpr(x: Array, y: Array, known: Array) -> tuple[float, Array]:
    """Returns the mean over samples that have a known label, and its slope.

    One sample is log(1 + Σ exp(−x) over its positives) + log(1 + Σ exp(x) over its negatives).
    """
    count = max(int(known.any(axis=1).sum()), 1)
    value, slope = 0.0, np.zeros_like(x)
    for sign, chosen in ((-1, known & y), (1, known & ~y)):
        terms = np.where(chosen, sign * x, -np.inf)
        total = np.logaddexp(0, logsumexp(terms, axis=1, keepdims=True))
        value += float(total.sum())
        slope += sign * np.exp(terms - total)
    return value / count, slope / count


def soft_f1(x: Array, y: Array, known: Array, epsilon: float = 1e-7) -> tuple[float, Array]:
    """Returns 1 − soft F1 as a mean over labels that are known somewhere, and its slope.

    One label is W / (W + 2·Σ p·y), W = Σ p·(1 − y) + Σ (1 − p)·y + ε.
    """
    p, q = expit(x), expit(-x)
    wrong = np.sum(known * np.where(y, q, p), axis=0) + epsilon
    right = 2 * np.sum(known * y * p, axis=0)
    total = wrong + right
    count = max(int(known.any(axis=0).sum()), 1)
    change = np.where(y, -right - 2 * wrong, right) / total**2  # derivative of a label's loss in p
    value = float(np.sum(known.any(axis=0) * wrong / total)) / count
    return value, known * change * p * q / count


def _mean(values: Array, slope: Array, known: Array) -> tuple[float, Array]:
    count = max(int(known.sum()), 1)
    return float(np.sum(values, where=known)) / count, np.where(known, slope, 0) / count


LOSSES: dict[str, Loss] = {
    "sigmoid_binary_cross_entropy": cross_entropy,
    "sigmoid_focal_loss": focal,
    "asymmetric_loss": asymmetric,
    "zlpr_loss": zlpr,
    "soft_f1_loss": soft_f1,
}
