"""Trains in Equinox: batch norm with its state, dropout with a key per sample, `inference_mode`."""

import equinox as eqx
import jax
import numpy as np
import optax
from equinox import nn

import mllosses_jax as mll

optimizer = optax.adam(3e-3)


def forward(model, state, x, keys=None):
    return jax.vmap(model, (0, None), (0, None), axis_name="batch")(x, state, key=keys)


@eqx.filter_jit
def train_step(model, state, opt_state, key, x, y, known, weights):
    @eqx.filter_grad(has_aux=True)
    def gradient(model):
        logits, new_state = forward(model, state, x, jax.random.split(key, len(x)))
        return mll.asymmetric_loss(logits, y, weights=weights, where=known), new_state

    grads, state = gradient(model)
    updates, opt_state = optimizer.update(grads, opt_state, eqx.filter(model, eqx.is_inexact_array))
    return eqx.apply_updates(model, updates), state, opt_state


def main(seed: int = 0) -> float:
    data, rng = mll.data.load("mosaics").standardized(), np.random.default_rng(seed)
    known = rng.random(data.y_train.shape) < 0.5  # half of the labels are unknown
    x, y = data.x_train, data.y_train & known
    weights = mll.weighting.effective_number_weights(y.sum(axis=0))
    first, last, *keys = jax.random.split(jax.random.key(seed), 402)
    hidden = nn.Linear(256, 128, key=first), nn.BatchNorm(128, "batch", momentum=0.9, mode="batch")
    layers = *hidden, nn.Lambda(jax.nn.relu), nn.Dropout(0.2), nn.Linear(128, 10, key=last)
    model, state = nn.make_with_state(nn.Sequential)(layers)
    carry = model, state, optimizer.init(eqx.filter(model, eqx.is_inexact_array))
    for key, rows in zip(keys, rng.integers(len(x), size=(400, 100)), strict=True):
        carry = train_step(*carry, key, x[rows], y[rows], known[rows], weights)
    model, state = nn.inference_mode(carry[0]), carry[1]
    histogram = mll.metrics.streaming.ScoreHistogram.init(10, inputs="logits")
    for rows in np.split(np.arange(2000), 4):
        logits, _ = eqx.filter_jit(forward)(model, state, data.x_test[rows])
        histogram = histogram.update(logits, data.y_test[rows])
    return float(histogram.average_precision().estimate)


if __name__ == "__main__":
    print(f"test mAP {main():.3f}")
