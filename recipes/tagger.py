"""Ten thousand tags: encoder and head trained by one optimiser, judged by macro-F1 and MCC.

The labels of a batch are ids. The loss never holds the logits; the evaluation holds those of one
batch and adds up counts per tag.
"""

import functools
import sys

import jax
import jax.numpy as jnp
import optax

import mllosses_jax as mll
from mllosses_jax import heads
from mllosses_jax.metrics.streaming import ConfusionCounts

WIDTH, BATCH, TAGS_PER_SAMPLE = 64, 128, 4


def sample(key, looks_like):
    """Returns inputs (B, WIDTH), the mean of what their tags look like with noise, and tags."""
    tags, noise = jax.random.split(key)
    rank = jax.random.uniform(tags, (BATCH, TAGS_PER_SAMPLE)) ** 3  # some tags are frequent
    ids = (rank * len(looks_like)).astype(jnp.int32)
    x = looks_like[ids].mean(1)
    return x + 0.1 * jax.random.normal(noise, x.shape), ids


def features_of(params, x):
    return x + jax.nn.relu(x @ params["inner"]) @ params["outer"]


def loss_fn(params, x, positives):
    return heads.linear_head_loss(
        features_of(params, x),
        params["kernel"],
        positives,
        bias=params["bias"],
        loss=mll.asymmetric_loss,
        loss_kwargs={"gamma_neg": 2, "gamma_pos": 0},
        reduction="batchmean",
    )


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def train_step(optimizer, params, opt_state, x, positives):
    loss, slope = jax.value_and_grad(loss_fn)(params, x, positives)
    updates, opt_state = optimizer.update(slope, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss


@jax.jit
def evaluate(counts, params, x, positives):
    logits = features_of(params, x) @ params["kernel"].T + params["bias"][None]
    return counts.update(logits > 0, heads.positives_to_dense(positives, logits.shape[1]))


def main(num_tags: int = 10_000, steps: int = 600) -> dict[str, float]:
    keys = iter(jax.random.split(jax.random.key(0), 1000 + steps))
    looks_like = jax.random.normal(next(keys), (num_tags, WIDTH))
    weights = [(WIDTH, 2 * WIDTH), (2 * WIDTH, WIDTH), (num_tags, WIDTH)]
    params = {
        name: 0.05 * jax.random.normal(next(keys), shape)
        for name, shape in zip(("inner", "outer", "kernel"), weights, strict=True)
    } | {"bias": jnp.full(num_tags, -6.0)}
    optimizer = optax.adam(1e-2)
    opt_state = optimizer.init(params)
    for _ in range(steps):
        x, positives = sample(next(keys), looks_like)
        params, opt_state, _ = train_step(optimizer, params, opt_state, x, positives)
    counts = ConfusionCounts.init(num_tags)
    for _ in range(100):
        counts = evaluate(counts, params, *sample(next(keys), looks_like))
    f1, correlation = counts.f1(), counts.matthews_corrcoef()
    return {"macro F1": float(f1), "macro MCC": float(correlation)}


if __name__ == "__main__":
    print(main(*map(int, sys.argv[1:])))
