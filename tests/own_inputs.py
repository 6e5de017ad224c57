"""A module of the user's own losses, as the text of a file: some sound, most broken."""

MODULE = """\
import jax.numpy as jnp
import numpy as np
import mllosses_jax as mll

def by_entry(logits, labels, where=None, alpha=1.0):
    return alpha * (logits - labels) ** 2

def mean(logits, labels):
    return jnp.mean((logits - labels) ** 2)

def breaks(logits, labels):
    product = logits @ logits
    return product.sum()

def deep(logits, labels):
    return mll.hinge_loss(logits, labels[:, :1])

def on_host(logits, labels):
    return np.mean(np.asarray(logits))

def shape(logits, labels):
    return jnp.zeros(logits.shape[1])

def counted(logits, labels):
    return labels.sum()

def nothing(logits, labels):
    pass

def nan(logits, labels):
    good = logits.mean()
    bad = jnp.log(-1 - logits ** 2)
    return bad.mean() + good

def nan_slope(logits, labels):
    return jnp.sqrt(logits - logits).mean()

def needs(logits, labels, alpha):
    return alpha * logits.mean()

NUMBER = 3
"""
