"""Trains in plain JAX and optax: the model is a function, and dropout is written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import mllosses_jax as mll

optimizer = optax.adam(3e-3)


def forward(params, x, key=None):
    x = jax.nn.relu(x @ params["kernel_1"] + params["bias_1"])
    if key is not None:
        x = jnp.where(jax.random.bernoulli(key, 0.8, x.shape), x / 0.8, 0)
    return x @ params["kernel_2"] + params["bias_2"]


@jax.jit
def train_step(params, opt_state, key, x, y, known, weights):
    def loss_fn(params):
        return mll.asymmetric_loss(forward(params, x, key), y, weights=weights, where=known)

    updates, opt_state = optimizer.update(jax.grad(loss_fn)(params), opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def main(seed: int = 0) -> float:
    data, rng = mll.data.load("mosaics").standardized(), np.random.default_rng(seed)
    known = rng.random(data.y_train.shape) < 0.5  # half of the labels are unknown
    x, y, init = data.x_train, data.y_train & known, jax.nn.initializers.lecun_normal()
    weights = mll.weighting.effective_number_weights(y.sum(axis=0))
    first, last, *keys = jax.random.split(jax.random.key(seed), 402)
    params = {"kernel_1": init(first, (256, 128)), "bias_1": jnp.zeros(128)}
    params |= {"kernel_2": init(last, (128, 10)), "bias_2": jnp.zeros(10)}
    opt_state = optimizer.init(params)
    for key, rows in zip(keys, rng.integers(len(x), size=(400, 100)), strict=True):
        batch = x[rows], y[rows], known[rows]
        params, opt_state = train_step(params, opt_state, key, *batch, weights)
    histogram = mll.metrics.streaming.ScoreHistogram.init(10, inputs="logits")
    for rows in np.split(np.arange(2000), 4):
        logits = jax.jit(forward)(params, data.x_test[rows])
        histogram = histogram.update(logits, data.y_test[rows])
    return float(histogram.average_precision().estimate)


if __name__ == "__main__":
    print(f"test mAP {main():.3f}")
