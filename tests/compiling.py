"""Ways to compile: with little optimisation for programs that run once, or as for users."""

import functools

import jax

QUICKLY = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
FULLY = {
    "xla_backend_optimization_level": 3,
    "xla_cpu_use_fusion_emitters": True,
    "xla_cpu_parallel_codegen_split_count": 32,
}
# The same fusions, and so the same memory, as users have, in machine code that is not optimised.
FUSED = FULLY | {"xla_backend_optimization_level": 0, "xla_cpu_parallel_codegen_split_count": 1}
jit = functools.partial(jax.jit, compiler_options=QUICKLY)
jit_fully = functools.partial(jax.jit, compiler_options=FULLY)
jit_for_memory = functools.partial(jax.jit, compiler_options=FUSED)
