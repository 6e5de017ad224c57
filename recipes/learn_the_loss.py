"""Learns gamma_neg, clip and label weights of a loss by hyper-gradients of one training step."""

import jax
import jax.numpy as jnp
import optax

import mllosses_jax as mll

inner, outer = optax.sgd(1.0), optax.adam(0.02)


def loss_parameters(free):
    """Whatever real numbers the optimiser comes to, these are in the domain of the loss."""
    weights = free["weights"].size * jax.nn.softmax(free["weights"])  # mean 1: the step keeps its size
    gamma_neg, clip = jax.nn.softplus(free["gamma_neg"]), jax.nn.sigmoid(free["clip"])
    return {"gamma_neg": gamma_neg, "clip": clip, "weights": weights}


def apply(params, inputs):
    return inputs @ params["weight"] + params["bias"]


def inner_step(free, params, batch):
    def objective(params):
        # With the focus held constant no value has this gradient, but the step is what is
        # differentiated below: first by params, then by free, never the other way round.
        logits, own = apply(params, batch["inputs"]), loss_parameters(free)
        return mll.asymmetric_loss(logits, batch["labels"], gamma_pos=0, detach_focus=True, **own)

    updates, _ = inner.update(jax.grad(objective)(params), inner.init(params))
    return optax.apply_updates(params, updates)


def validation_loss(free, params, batch, validation):
    """A loss without learnt parameters: gamma_neg and clip could make their own one vanish."""
    params = inner_step(free, params, batch)
    logits = apply(params, validation["inputs"])
    return mll.sigmoid_binary_cross_entropy(logits, validation["labels"]), params


@jax.jit
def outer_step(free, opt_state, params, batch, validation):
    learn = jax.value_and_grad(validation_loss, has_aux=True)
    (value, params), slopes = learn(free, params, batch, validation)
    updates, opt_state = outer.update(slopes, opt_state)
    return optax.apply_updates(free, updates), opt_state, params, value
