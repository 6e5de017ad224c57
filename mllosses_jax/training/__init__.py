"""Training steps for any optax optimiser and any model that is a function of its parameters."""

from mllosses_jax.training.adaptive import adaptive_asymmetry
from mllosses_jax.training.steps import TrainState, make_eval_step, make_train_step
from mllosses_jax.training.sweeps import sweep

__all__ = ["TrainState", "adaptive_asymmetry", "make_eval_step", "make_train_step", "sweep"]
