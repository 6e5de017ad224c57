"""The generalized robust loss, whose slope holds the weights K and V constant."""

from functools import partial
from typing import Any

from exact import Jet, Terms, log_sigmoids, mp, sigmoids

import mllosses_jax as mll
from references.row import HARD, Row, plain

# With the defaults, K is next to 1/2 for every large logit, where the two slopes of an unobserved
# label cancel; here they do so in one place, where the condition number is large.
PARAMETERS = {"w": 1.5, "b": -1.25, "mu": 0.75, "sigma": 0.5, "q2": 0.25, "q3": 0.5}


def generalized_robust(x: float, y: Any) -> Terms:
    one, (p, q), (log_p, _) = Jet(mp.one), sigmoids(x), log_sigmoids(x)
    if y:
        return Terms(one, log_p.times(-1))
    w, b, mu, sigma, q2, q3 = map(mp.mpf, PARAMETERS.values())
    k = 1 / (1 + mp.exp(-(w * p.v + b)))
    v = mp.exp(-(((p.v - mu) / sigma) ** 2) / 2)
    d_k, d_v = k * (1 - k) * w * p.d, -v * (p.v - mu) / sigma**2 * p.d
    positive, negative = (
        (one + s.power(order).times(-1)).times(1 / order) for s, order in ((p, q2), (q, q3))
    )
    parts = (
        (v * k, d_v * k + v * d_k, positive),
        (v * (1 - k), d_v * (1 - k) - v * d_k, negative),
    )
    value = sum(weight * loss.v for weight, _, loss in parts)
    slope = sum(weight * loss.d for weight, _, loss in parts)
    terms = [term for w, d_w, loss in parts for term in (d_w * loss.d, w * loss.dd)]
    return Terms(one, Jet(value, slope, sum(terms)), cancelling=sum(map(abs, terms)))


def rows(labels: tuple) -> list[Row]:
    if labels != HARD:
        return []
    loss = partial(plain, mll.generalized_robust_loss, **PARAMETERS)
    return [Row("generalized robust", loss, generalized_robust, labels)]
