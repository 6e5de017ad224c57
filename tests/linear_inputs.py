"""A data set for linear models, and their objective in double precision."""

import numpy as np

from benchmarks import linear_float64
from mllosses_jax.compare import linear
from mllosses_jax.compare.bound_loss import BoundLoss, bind
from mllosses_jax.compare.linear import Fitter
from mllosses_jax.compare.settings import Settings
from mllosses_jax.data import Dataset

ROWS, FEATURES, LABELS = 80, 5, 4
BINARY, ZLPR = "sigmoid_binary_cross_entropy", "zlpr_loss"
EVERY = np.arange(ROWS)


def make_dataset(masked=False, sparse=False, rows=ROWS):
    """Returns data with standard normal features, or with sparse ones, one in twenty nonzero."""
    generator = np.random.default_rng(0)
    width = 8 * FEATURES if sparse else FEATURES
    x = generator.normal(size=(rows, width))
    if sparse:
        x *= generator.random(x.shape) < 0.05
    noise = generator.normal(size=(rows, 1))
    y = x @ generator.normal(size=(width, LABELS)) + noise > [0.0, 0.5, 1.0, 1.5]
    return Dataset(
        name="toy",
        label_names=tuple("abcd"),
        x_train=x,
        y_train=y,
        mask_train=generator.random(y.shape) < 0.8 if masked else None,
        x_test=x[:9],
        y_test=y[:9],
        sparse=sparse,
    )


def make_fitter(loss, dataset, **settings):
    bound = loss if isinstance(loss, BoundLoss) else bind(loss, dataset)
    return Fitter(dataset, bound, Settings(**settings))


def known_of(dataset):
    known = dataset.mask_train
    return np.ones_like(dataset.y_train) if known is None else known


def value_and_gradient(loss, dataset, params, strength):
    """Computes the objective and its gradient (D + 1, L), in double precision."""
    x, params = dataset.x_train.astype(np.float64), params.astype(np.float64)
    value, slope = loss(x @ params[:-1] + params[-1], dataset.y_train, known_of(dataset))
    value += strength / 2 * np.sum(params[:-1] ** 2)
    gradient = np.concatenate([x.T @ slope + strength * params[:-1], slope.sum(0)[None]])
    return value, gradient


def start_of(dataset):
    """Returns the parameters at which fits begin: the log odds."""
    params = np.zeros((dataset.x_train.shape[1] + 1, LABELS))
    params[-1] = linear_float64.log_odds(dataset.y_train, known_of(dataset))
    return params


def run(bound, dataset, **settings):
    return linear.run(dataset, (bound,), Settings(**settings), lambda: None)
