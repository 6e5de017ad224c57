"""Trains in Haiku: `transform_with_state` holds batch norm, and dropout acts only in training."""

import haiku as hk
import jax
import numpy as np
import optax

import mllosses_jax as mll

optimizer = optax.adam(3e-3)


@hk.transform_with_state
def model(x, is_training):
    x = hk.BatchNorm(True, True, decay_rate=0.9)(hk.Linear(128)(x), is_training)
    x = jax.nn.relu(x)
    if is_training:
        x = hk.dropout(hk.next_rng_key(), 0.2, x)
    return hk.Linear(10)(x)


@jax.jit
def train_step(params, state, opt_state, key, x, y, known, weights):
    def loss_fn(params):
        logits, new_state = model.apply(params, state, key, x, is_training=True)
        return mll.asymmetric_loss(logits, y, weights=weights, where=known), new_state

    grads, state = jax.grad(loss_fn, has_aux=True)(params)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), state, opt_state


def main(seed: int = 0) -> float:
    data, rng = mll.data.load("mosaics").standardized(), np.random.default_rng(seed)
    known = rng.random(data.y_train.shape) < 0.5  # half of the labels are unknown
    x, y, keys = data.x_train, data.y_train & known, hk.PRNGSequence(seed)
    weights = mll.weighting.effective_number_weights(y.sum(axis=0))
    params, state = model.init(next(keys), x[:1], is_training=True)
    carry = params, state, optimizer.init(params)
    for rows in rng.integers(len(x), size=(400, 100)):
        carry = train_step(*carry, next(keys), x[rows], y[rows], known[rows], weights)
    predict = jax.jit(lambda x: model.apply(*carry[:2], None, x, is_training=False)[0])
    histogram = mll.metrics.streaming.ScoreHistogram.init(10, inputs="logits")
    for rows in np.split(np.arange(2000), 4):
        histogram = histogram.update(predict(data.x_test[rows]), data.y_test[rows])
    return float(histogram.average_precision().estimate)


if __name__ == "__main__":
    print(f"test mAP {main():.3f}")
