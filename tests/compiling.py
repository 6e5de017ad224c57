"""Compilation of programs that run once: they are not worth optimising."""

import functools

import jax

QUICKLY = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
jit = functools.partial(jax.jit, compiler_options=QUICKLY)
