"""A million labels: an encoder in Flax NNX trained with optax, and a head that updates itself.

The data are made on the fly: a sample's labels are drawn from a long-tailed distribution, and its
input is the mean of what stands for them, with noise. They come through Grain if it is installed,
which prepares batches ahead, and else through a plain generator. Checkpoints are Orbax's.
"""

import importlib.util
import itertools
import math
import resource
import sys
import tempfile

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from flax import nnx

import mllosses_jax as mll
from mllosses_jax import heads

WIDTH, BATCH, POSITIVES = 64, 128, 5


def batches(num_labels, seed):
    """Returns an iterator over inputs (B, WIDTH) and ids of labels (B, POSITIVES)."""
    stands_for = jax.vmap(jax.vmap(lambda id: jax.random.normal(jax.random.key(id), (WIDTH,))))

    @jax.jit
    def batch(key):
        tail, noise = jax.random.split(key)
        ids = jnp.exp(jax.random.uniform(tail, (BATCH, POSITIVES)) * math.log(num_labels))
        ids = ids.astype(jnp.int32) - 1  # the label of rank r has a frequency in proportion to 1/r
        x = stands_for(ids).mean(1)
        return x + 0.1 * jax.random.normal(noise, x.shape), ids

    def numbered(number):
        return batch(jax.random.fold_in(jax.random.key(seed), number))

    if importlib.util.find_spec("grain") is None:
        return map(numbered, itertools.count())
    import grain

    return iter(grain.MapDataset.range(sys.maxsize).map(numbered).to_iter_dataset())


class Encoder(nnx.Module):
    def __init__(self, rngs):
        self.inner = nnx.Linear(WIDTH, 2 * WIDTH, rngs=rngs)
        self.outer = nnx.Linear(2 * WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x):
        return x + self.outer(nnx.relu(self.inner(x)))


@nnx.jit(donate_argnames="head")
def train_step(encoder, optimizer, head, x, positives, learning_rate):
    graph, params = nnx.split(encoder)
    features, pull = jax.vjp(lambda params: nnx.merge(graph, params)(x), params)
    head, loss, slope = heads.linear_head_sgd_step(
        head, features, positives, learning_rate=learning_rate,
        loss=mll.sigmoid_binary_cross_entropy,
    )  # fmt: skip
    optimizer.update(encoder, pull(slope)[0])
    return head, loss


def judged(encoder, head, num_labels, number=8):
    found = []
    for x, positives in itertools.islice(batches(num_labels, seed=1), number):
        ids = heads.linear_head_top_k(encoder(x), head.kernel, 5, bias=head.bias).ids
        found.append([heads.precision_at_k(ids[:, :k], positives) for k in (1, 3, 5)])
    return dict(zip(("P@1", "P@3", "P@5"), jnp.array(found).mean(0).tolist(), strict=True))


def main(num_labels: int = 1_000_000, steps: int = 300, folder: str | None = None) -> dict:
    encoder = Encoder(nnx.Rngs(0))
    optimizer = nnx.Optimizer(encoder, optax.adam(1e-3), wrt=nnx.Param)
    head = heads.init_linear_head(
        jax.random.key(0), num_labels, WIDTH, dtype="bfloat16", stddev=0.01
    )
    head = head._replace(bias=jnp.full(num_labels, -math.log(num_labels)))  # rare from the start
    losses = []
    for x, positives in itertools.islice(batches(num_labels, seed=0), steps):
        head, loss = train_step(encoder, optimizer, head, x, positives, 2.0)
        losses.append(float(loss))
    with tempfile.TemporaryDirectory() as temporary, ocp.StandardCheckpointer() as checkpointer:
        path = f"{folder or temporary}/head"
        checkpointer.save(path, head)
        checkpointer.wait_until_finished()
        head = checkpointer.restore(path, jax.tree.map(ocp.utils.to_shape_dtype_struct, head))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return judged(encoder, head, num_labels) | {
        "first loss": losses[0], "last loss": sum(losses[-10:]) / 10, "GiB": peak,
    }  # fmt: skip


if __name__ == "__main__":
    print(main(*map(int, sys.argv[1:])))
