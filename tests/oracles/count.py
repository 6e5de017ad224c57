"""Oracles of the count family, sample by sample."""

import numpy as np

from oracles.common import sigmoid


def _symmetric_divergence(p, q, epsilon):
    p, q = np.maximum(p, epsilon), np.maximum(q, epsilon)
    return np.abs((p - q) * np.log(p / q)).sum()


def abs_kl_divergence(x, y, mask, activation="sigmoid", epsilon=1e-7):
    def measure(x):
        if activation == "softmax":
            return np.exp(x) / np.exp(x).sum()
        return {"sigmoid": sigmoid, "exp": np.exp, None: np.asarray}[activation](x)

    return np.array(
        [
            _symmetric_divergence(y[i, keep], measure(x[i, keep]), epsilon) if keep.any() else 0.0
            for i, keep in enumerate(mask)
        ]
    )


def factorized_count_loss(x, y, mask, count_logits, count="mse", count_weight=1.0, on="factors"):
    count_logits = np.asarray(count_logits, np.float64)
    losses = np.zeros(len(x))
    for row, keep in enumerate(mask):
        if not keep.any():
            continue
        t, u = y[row, keep], count_logits[row]
        k, s = t.sum(), np.exp(x[row, keep]) / np.exp(x[row, keep]).sum()
        n = u if count == "mse" else np.exp(u)
        if on == "product":
            losses[row] = _symmetric_divergence(t, max(n, 0.01) * s, 1e-7)
        elif k > 0:
            q = t[t > 0] / k
            losses[row] = (q * np.log(q / s[t > 0])).sum()
        losses[row] += count_weight * ((n - k) ** 2 if count == "mse" else n - k * np.log(n))
    return losses
