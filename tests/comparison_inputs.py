"""Outcomes of a comparison made up without training, and the data set for them."""

import numpy as np

from mllosses_jax.calibration import AffineCalibrator
from mllosses_jax.compare import references
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.page import figures, whole
from mllosses_jax.compare.settings import Settings
from mllosses_jax.compare.validation import Decisions, Held
from mllosses_jax.data import Dataset

ROWS = 60
RATES = (0.5, 0.3, 0.25, 0.2)


def draw_nothing(patch):
    """Writes pages of comparisons as without matplotlib: figures take seconds for each page."""
    for module in (figures, whole):
        patch.setattr(module, "drawable", lambda: False)


def fit_prior_alone(patch):
    """Fits no models of scikit-learn beside the losses, as where it is not installed."""
    available = references.available

    def first(*given):
        return references.Available(
            {references.PRIOR: available(*given).fits[references.PRIOR]}, {}
        )

    patch.setattr(references, "available", first)


def make_dataset(masked=False, labels=4):
    """Returns data with labels of unequal frequency; if masked, the first test row is unknown."""
    generator = np.random.default_rng(0)
    y = generator.random((2 * ROWS, labels)) < np.resize(RATES, labels)
    mask = generator.random(y.shape) < 0.8
    mask[ROWS] = False
    return Dataset(
        name="toy",
        label_names=tuple(f"label {j}" for j in range(labels)),
        x_train=generator.normal(size=(ROWS, 2)),
        y_train=y[:ROWS],
        mask_train=mask[:ROWS] if masked else None,
        x_test=np.zeros((ROWS, 2)),
        y_test=y[ROWS:],
        mask_test=mask[ROWS:] if masked else None,
    )


def make_outcome(dataset, *, models=2, seed=1, skill=1.0, validation=0.5, digits=6, **changed):
    """Returns an outcome whose scores separate the classes by `skill`; models differ slightly."""
    generator = np.random.default_rng(seed)
    y = dataset.y_test
    num_labels = y.shape[1]
    noise = generator.normal(size=y.shape) + 0.1 * generator.normal(size=(models, *y.shape))
    held = generator.normal(size=dataset.y_train.shape) + skill * dataset.y_train - 0.5
    fields = {
        "params": {
            "kernel": generator.normal(size=(models, 2, num_labels)).astype(np.float32),
            "bias": generator.normal(size=(models, num_labels)).astype(np.float32),
        },
        "test_scores": (noise + skill * (2 * y - 1)).round(digits).astype(np.float32),
        "held": Held(np.arange(len(held)), held.astype(np.float32)),
        "decisions": Decisions(
            label_thresholds=generator.normal(size=num_labels).round(1).astype(np.float32),
            global_threshold=np.float32(0.1),
            calibrator=AffineCalibrator(
                generator.uniform(0.5, 2, num_labels).astype(np.float32),
                generator.normal(size=num_labels).astype(np.float32),
            ),
        ),
        "chosen": {"strength": 1e-3},
        "tried": {"strength": np.array([1e-4, 1e-3]), "score": np.array([0.0, validation])},
        "at_edge": (),
        "varies": models > 1,
        "residuals": np.full(models, 1e-5),
        "seconds": 3.0,
        "cpu_seconds": 5.0,
    }
    return Outcome(**fields | changed)


def make_comparison(dataset, outcomes, **settings):
    """Returns a comparison of outcomes by loss, of which the first is the baseline."""
    comparison = Comparison(dataset, Settings(**settings), baseline=next(iter(outcomes)))
    for label, outcome in outcomes.items():
        comparison.add(parse(label), outcome)
    return comparison
