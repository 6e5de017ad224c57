"""Trains in Flax Linen: `TrainState` has batch statistics, and each step has a dropout key."""

import flax.linen as nn
import jax
import numpy as np
import optax
from flax.training import train_state

import mllosses_jax as mll


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.relu(nn.BatchNorm(not train, momentum=0.9)(nn.Dense(128)(x)))
        return nn.Dense(10)(nn.Dropout(0.2, deterministic=not train)(x))


class TrainState(train_state.TrainState):
    batch_stats: dict


@jax.jit
def train_step(state, x, y, known, weights, key):
    def loss_fn(params):
        variables = {"params": params, "batch_stats": state.batch_stats}
        rngs = {"dropout": jax.random.fold_in(key, state.step)}
        logits, new = state.apply_fn(variables, x, train=True, rngs=rngs, mutable="batch_stats")
        return mll.asymmetric_loss(logits, y, weights=weights, where=known), new["batch_stats"]

    grads, batch_stats = jax.grad(loss_fn, has_aux=True)(state.params)
    return state.apply_gradients(grads=grads, batch_stats=batch_stats)


def main(seed: int = 0) -> float:
    data, rng = mll.data.load("mosaics").standardized(), np.random.default_rng(seed)
    known = rng.random(data.y_train.shape) < 0.5  # half of the labels are unknown
    x, y, key = data.x_train, data.y_train & known, jax.random.key(seed)
    weights = mll.weighting.effective_number_weights(y.sum(axis=0))
    variables = MLP().init(key, x[:1], train=False)
    state = TrainState.create(apply_fn=MLP().apply, tx=optax.adam(3e-3), **variables)
    for rows in rng.integers(len(x), size=(400, 100)):
        state = train_step(state, x[rows], y[rows], known[rows], weights, key)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    predict = jax.jit(lambda x: state.apply_fn(variables, x, train=False))
    histogram = mll.metrics.streaming.ScoreHistogram.init(10, inputs="logits")
    for rows in np.split(np.arange(2000), 4):
        histogram = histogram.update(predict(data.x_test[rows]), data.y_test[rows])
    return float(histogram.average_precision().estimate)


if __name__ == "__main__":
    print(f"test mAP {main():.3f}")
