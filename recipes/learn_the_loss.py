"""Learns gamma_neg, clip and label weights of a loss by hyper-gradients of one training step."""

import jax
import jax.numpy as jnp
import optax

import mllosses_jax as mll

inner, outer = optax.sgd(10.0), optax.adam(0.02)


def loss_parameters(free):  # these stay in their domains whatever the optimiser does
    gamma_neg, clip = jax.nn.softplus(free["gamma_neg"]), jax.nn.sigmoid(free["clip"])
    weights = free["weights"].size * jax.nn.softmax(free["weights"])  # mean 1
    return {"gamma_neg": gamma_neg, "clip": clip, "weights": weights}


def inner_step(free, params, opt_state, x, y):
    def training_loss(params):
        # With detach_focus=True this slope is not that of the value: take it first with respect
        # to params, as the step does, and then differentiate the step with respect to free.
        return mll.asymmetric_loss(x @ params, y, gamma_pos=0, **loss_parameters(free))

    updates, opt_state = inner.update(jax.grad(training_loss)(params), opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def validation_loss(free, model, train, clean):
    model = inner_step(free, *model, *train)  # judged by a loss without parameters to learn
    return mll.sigmoid_binary_cross_entropy(clean[0] @ model[0], clean[1]), model


@jax.jit
def outer_step(free, opt_state, model, train, clean):
    slopes, model = jax.grad(validation_loss, has_aux=True)(free, model, train, clean)
    updates, opt_state = outer.update(slopes, opt_state)
    return optax.apply_updates(free, updates), opt_state, model


def main(steps: int = 400) -> dict:
    data = mll.data.load("mosaics").standardized()
    x = data.x_train.reshape(-1, 8, 2, 8, 2).mean((2, 4)).reshape(-1, 64)  # a quarter of the pixels
    x = jnp.pad(x, ((0, 0), (0, 1)), constant_values=1)  # the input of the bias
    y = data.y_train & jax.random.bernoulli(jax.random.key(0), 0.5, data.y_train.shape)
    # The training labels lack half of the positives; the clean ones lack none.
    train, clean = (x[:3000], y[:3000]), (x[3000:], data.y_train[3000:])
    model = jnp.zeros((65, 10)), inner.init(jnp.zeros((65, 10)))
    first = {"gamma_neg": jnp.array(0.5), "clip": jnp.array(-3.0), "weights": jnp.zeros(10)}
    learning = first, outer.init(first), model
    for _ in range(steps):
        learning = outer_step(*learning, train, clean)
    retrain = jax.jit(
        lambda free: jax.lax.fori_loop(0, steps, lambda _, m: inner_step(free, *m, *train), model)
    )
    before, after = (validation_loss(f, retrain(f), train, clean)[0] for f in (first, learning[0]))
    return loss_parameters(learning[0]) | {"before": float(before), "after": float(after)}


if __name__ == "__main__":
    print(main())
