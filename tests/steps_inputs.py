"""A small data set, and short searches with models trained in steps."""

import dataclasses

import jax
import numpy as np

from mllosses_jax.compare import mlp, steps_attempts, steps_search
from mllosses_jax.compare.bound_loss import BoundLoss, bind
from mllosses_jax.compare.settings import Settings
from mllosses_jax.compare.steps_attempts import Experiment
from mllosses_jax.compare.steps_training import Rates
from mllosses_jax.data import Dataset

ROWS, FEATURES, LABELS = 60, 6, 3
BINARY = "sigmoid_binary_cross_entropy"
SETTINGS = Settings(model="mlp", num_seeds=2)
RATES = Rates(0.01, 3.0)


def shorten(patch):
    """Sets few and short rounds, small batches and a narrow layer."""
    for module, name, value in (
        (steps_attempts, "ROUNDS", 4),
        (steps_attempts, "STEPS", 5),
        (steps_attempts, "BATCH", 16),
        (mlp, "HIDDEN", 8),
    ):
        patch.setattr(module, name, value)


def make_dataset(masked=False):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2 * ROWS, FEATURES))
    y = x @ generator.normal(size=(FEATURES, LABELS)) + generator.normal(size=(2 * ROWS, 1)) > 0.5
    mask = generator.random(y.shape) < 0.8
    return Dataset(
        name="toy",
        label_names=tuple("abc"),
        x_train=x[:ROWS],
        y_train=y[:ROWS],
        mask_train=mask[:ROWS] if masked else None,
        x_test=x[ROWS:],
        y_test=y[ROWS:],
        mask_test=mask[ROWS:] if masked else None,
    )


def with_train(dataset, **arrays):
    """Returns the data set with arrays replaced unchanged, unknown labels included."""
    changed = dataclasses.replace(dataset)
    for name, value in arrays.items():
        object.__setattr__(changed, name, value)
    return changed


def make_experiment(dataset, loss=BINARY):
    bound = loss if isinstance(loss, BoundLoss) else bind(loss, dataset)
    return Experiment(dataset, bound, SETTINGS.num_seeds, devices=jax.devices()[:1])


def attempt(experiment, rates=RATES):
    """Returns the result of one attempt, and the scores of its validation rows."""
    found = experiment.attempts([rates], lambda: None)
    return found.attempts[0], found.held


def run(dataset, bound=None, settings=SETTINGS, on_pass=lambda: None):
    return steps_search.run(dataset, (bound or bind(BINARY, dataset),), settings, on_pass)
