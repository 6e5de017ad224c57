"""Trains in Flax NNX: `nnx.view` switches batch norm and dropout, and mAP is an `nnx.Metric`."""

import numpy as np
import optax
from flax import nnx

import mllosses_jax as mll


@nnx.jit
def train_step(model, optimizer, x, y, known, weights):
    def loss_fn(model):
        return mll.asymmetric_loss(model(x), y, weights=weights, where=known)

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def eval_step(model, metric, x, y):
    metric.update(logits=model(x), labels=y)


def main(seed: int = 0) -> float:
    data, rng = mll.data.load("mosaics").standardized(), np.random.default_rng(seed)
    known = rng.random(data.y_train.shape) < 0.5  # half of the labels are unknown
    x, y = data.x_train, data.y_train & known
    weights = mll.weighting.effective_number_weights(y.sum(axis=0))
    rngs = nnx.Rngs(seed)
    norm, dropout = nnx.BatchNorm(128, momentum=0.9, rngs=rngs), nnx.Dropout(0.2, rngs=rngs)
    first, last = nnx.Linear(256, 128, rngs=rngs), nnx.Linear(128, 10, rngs=rngs)
    model = nnx.Sequential(first, norm, nnx.relu, dropout, last)
    optimizer = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param)
    train_model = nnx.view(model, deterministic=False, use_running_average=False)
    for rows in rng.integers(len(x), size=(400, 100)):
        train_step(train_model, optimizer, x[rows], y[rows], known[rows], weights)
    histogram = mll.metrics.streaming.ScoreHistogram.init(10, inputs="logits")
    metric = mll.metrics.streaming.as_nnx(histogram, lambda h: h.average_precision().estimate)
    eval_model = nnx.view(model, deterministic=True, use_running_average=True)
    for rows in np.split(np.arange(2000), 4):
        eval_step(eval_model, metric, data.x_test[rows], data.y_test[rows])
    return float(metric.compute())


if __name__ == "__main__":
    print(f"test mAP {main():.3f}")
