"""The training settings: what happens to one loss, for all seeds at once.

1. Each seed cuts its own validation part from the training part, by iterative stratification.
2. For each candidate weight decay, the models of all seeds are trained on the rest. The decay of
   the highest mean validation score is kept: the mean of average precision by label (mAP) and by
   row. By mAP alone, labels with one or two positives would decide, and nearly equal mAP comes
   with very unequal F1 and ranking.
3. Decision thresholds are tuned on the validation scores of the models with that decay.
4. The models are trained again on training and validation data together; they score the test part.

Batches have one shape throughout, so that a loss is compiled once.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.models import MODELS, Params
from mllosses_jax.compare.objective import Objective
from mllosses_jax.data import Dataset, split
from mllosses_jax.decisions import tune_thresholds
from mllosses_jax.metrics import average_precision
from mllosses_jax.training import TrainState, make_train_step, sweep

Array = jax.Array

MIN_TRAINING_ROWS = 10
MIN_POSITIVES = 5  # for a threshold of a label's own


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of an experiment.

    Attributes:
        model: a name in `MODELS`.
        num_seeds: number of models per loss.
        num_steps: number of updates of each model.
        batch_size: rows per update, at most.
        weight_decays: the candidates; AdamW multiplies them with the learning rate.
        validation_fraction: share of the training part that tunes decay and thresholds.
    """

    model: str = "linear"
    num_seeds: int = 5
    num_steps: int = 400
    batch_size: int = 256
    weight_decays: tuple[float, ...] = (10.0, 5.0, 2.5, 1.0, 0.3)
    validation_fraction: float = 0.2

    @property
    def passes(self) -> int:
        """How often the models of all seeds are trained for one loss."""
        return len(self.weight_decays) + 1


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What training with one loss gave.

    Attributes:
        test_scores: (S, N, L) float32, logits of the test part by each seed's final model.
        label_thresholds: (S, L) float32, for macro-F1.
        global_thresholds: (S,) float32, for micro-F1.
        weight_decay: the one chosen, ().
        validation_score: mean validation score of each candidate, (W,).
        seconds: wall-clock time of everything, ().
    """

    test_scores: np.ndarray
    label_thresholds: np.ndarray
    global_thresholds: np.ndarray
    weight_decay: np.ndarray
    validation_score: np.ndarray
    seconds: np.ndarray

    def save(self, path: Path) -> None:
        """Writes the outcome; an interruption leaves no half-written file under this name."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, **vars(self))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Outcome:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as archive:
            return cls(**archive)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The data of an experiment, on the device, with the rows that each seed uses.

    Attributes:
        settings: the settings.
        train: ``inputs``, ``labels`` and, where some labels are unknown, ``where``.
        test_inputs: (N, D).
        tuning_rows: (S, steps, batch) rows of each update while tuning.
        final_rows: the same for the final models.
        validation_rows: (S, V) rows of each seed's validation part.
        validation_where: (S, V, L) which of their labels count; padding rows do not.
    """

    settings: Settings
    train: dict[str, Array]
    test_inputs: Array
    tuning_rows: Array
    final_rows: Array
    validation_rows: Array
    validation_where: Array


def prepare(dataset: Dataset, settings: Settings) -> Experiment:
    """Returns the experiment on a data set that has a test part and features fit for training.

    Raises:
        ComparisonError: there are too few training rows.
    """
    x, y, mask = dataset.x_train, dataset.y_train, dataset.mask_train
    if len(x) < MIN_TRAINING_ROWS:
        raise ComparisonError(
            f"{dataset.name} has {len(x)} training rows; at least {MIN_TRAINING_ROWS} are needed"
        )
    seeds = range(settings.num_seeds)
    fraction = settings.validation_fraction
    parts = [split(y, fraction, seed=seed, mask=mask) for seed in seeds]
    batch_size = min(settings.batch_size, *(len(rest) for rest, _ in parts))

    def updates(rows: np.ndarray, seed: int) -> np.ndarray:
        """Rows of all updates: one random order of all rows after another."""
        generator = np.random.default_rng(seed)
        size = settings.num_steps * batch_size
        epochs = [generator.permutation(rows) for _ in range(-(-size // len(rows)))]
        return np.concatenate(epochs)[:size].reshape(settings.num_steps, batch_size)

    longest = max(len(part) for _, part in parts)
    validation_rows = np.stack([np.resize(part, longest) for _, part in parts])
    is_row = np.stack([np.arange(longest) < len(part) for _, part in parts])
    known = np.ones_like(y) if mask is None else mask
    train = {"inputs": x, "labels": y} | ({} if mask is None else {"where": mask})
    return Experiment(
        settings=settings,
        train=jax.tree.map(jnp.asarray, train),
        test_inputs=jnp.asarray(dataset.x_test),
        tuning_rows=jnp.asarray(np.stack([updates(parts[s][0], s) for s in seeds]), jnp.int32),
        final_rows=jnp.asarray(np.stack([updates(np.arange(len(x)), s) for s in seeds]), jnp.int32),
        validation_rows=jnp.asarray(validation_rows, jnp.int32),
        validation_where=jnp.asarray(known[validation_rows] & is_row[:, :, None]),
    )


def run(experiment: Experiment, objective: Objective, on_pass: Callable[[], None]) -> Outcome:
    """Trains the models of all seeds with one loss; see the module's text.

    Args:
        experiment: what `prepare` returned.
        objective: a loss with all that it needs.
        on_pass: called after each pass of training, `Settings.passes` times.
    """
    begin = time.perf_counter()
    settings = experiment.settings
    train = _trainer(experiment, objective)
    apply = MODELS[settings.model].apply
    validation = experiment.train["inputs"][experiment.validation_rows]
    labels = experiment.train["labels"][experiment.validation_rows]
    where = experiment.validation_where
    num_labels = labels.shape[-1]

    best, best_scores, means = 0, None, []
    for candidate, weight_decay in enumerate(settings.weight_decays):
        outputs = _score_each(apply, train(experiment.tuning_rows, weight_decay), validation)
        scores = outputs[..., :num_labels]
        score = float(jnp.mean(_validation_score(scores, labels, where)))
        means.append(-math.inf if math.isnan(score) else score)  # training may diverge
        if best_scores is None or means[candidate] > means[best]:
            best, best_scores = candidate, scores
        on_pass()
    assert best_scores is not None
    by_label, common = _thresholds(best_scores, labels, where)

    weight_decay = settings.weight_decays[best]
    final = train(experiment.final_rows, weight_decay)
    outputs = _score_all(apply, final, experiment.test_inputs)
    test_scores = np.asarray(outputs[..., :num_labels])
    on_pass()
    return Outcome(
        test_scores=test_scores,
        label_thresholds=np.asarray(by_label),
        global_thresholds=np.asarray(common),
        weight_decay=np.asarray(weight_decay),
        validation_score=np.asarray(means),
        seconds=np.asarray(time.perf_counter() - begin),
    )


def _trainer(experiment: Experiment, objective: Objective) -> Callable[[Array, float], Params]:
    """Returns ``(rows, weight_decay) -> params`` of all seeds; every call is one program."""
    import optax

    settings = experiment.settings
    model = MODELS[settings.model]
    num_features = experiment.train["inputs"].shape[1]
    schedule = optax.cosine_decay_schedule(model.learning_rate, settings.num_steps)

    def adamw(weight_decay: Any) -> optax.GradientTransformation:
        # Losses differ in scale by orders of magnitude: a tiny eps lets Adam ignore it.
        return optax.adamw(schedule, eps=1e-15, weight_decay=weight_decay, mask=_is_kernel)

    optimizer = optax.inject_hyperparams(adamw)(weight_decay=0.0)
    step = make_train_step(model.apply, objective.loss, optimizer)

    def init(run: dict[str, Array]) -> TrainState:
        params = model.init(run["key"], num_features, objective.num_outputs)
        state = TrainState.create(params, optimizer)
        hyperparams = state.opt_state.hyperparams | {"weight_decay": run["weight_decay"]}
        return dataclasses.replace(
            state, opt_state=state.opt_state._replace(hyperparams=hyperparams)
        )

    def batch(data: dict[str, Array], run: dict[str, Array], index: Array) -> dict[str, Array]:
        return {name: value[run["rows"][index]] for name, value in data.items()}

    def train(rows: Array, weight_decay: float) -> Params:
        runs = {
            "rows": rows,
            "key": jax.random.split(jax.random.key(0), settings.num_seeds),
            "weight_decay": jnp.full(settings.num_seeds, weight_decay),
        }
        states, _ = sweep(init, step, batch, runs, experiment.train, num_steps=settings.num_steps)
        params: Params = states.params
        return params

    return train


def _is_kernel(params: Params) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim == 2, params)  # biases are not decayed


@jax.jit(static_argnums=0)
def _score_each(apply: Callable[..., Array], params: Params, inputs: Array) -> Array:
    return jax.vmap(apply)(params, inputs)


@jax.jit(static_argnums=0)
def _score_all(apply: Callable[..., Array], params: Params, inputs: Array) -> Array:
    return jax.vmap(apply, in_axes=(0, None))(params, inputs)


@jax.jit
def _validation_score(scores: Array, labels: Array, where: Array) -> Array:
    """The mean of average precision by label and by row, of each seed's validation part."""

    def of_seed(s: Array, y: Array, known: Array) -> Array:
        by_label = average_precision(s, y, where=known)
        return (by_label + average_precision(s, y, average="samples", where=known)) / 2

    return jax.vmap(of_seed)(scores, labels, where)


@jax.jit
def _thresholds(scores: Array, labels: Array, where: Array) -> tuple[Array, Array]:
    """The thresholds of each seed: (S, L), one per label, and (S,), one for all."""

    def of_seed(s: Array, y: Array, known: Array) -> tuple[Array, Array]:
        def tuned(scope: Literal["label", "global"]) -> Array:
            return tune_thresholds(
                s, y, scope=scope, min_positives=MIN_POSITIVES, default=0, where=known
            )

        return tuned("label"), tuned("global")

    return jax.vmap(of_seed)(scores, labels, where)
