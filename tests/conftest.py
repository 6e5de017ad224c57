"""Strict settings for every test: no silent promotion or broadcasting, and eight CPU devices."""

import functools
import gc
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

# Most of the suite's time is compilation. Tests of accuracy and memory use `jit_fully`. If
# XLA_FLAGS is set, even to an empty string, everything is compiled as for users. CI does both.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    " --xla_cpu_parallel_codegen_split_count=1",
)
# The processes of pytest-xdist take all cores, and threads of BLAS and OpenMP wait by spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import pytest
from jax._src.interpreters import mlir
from threadpoolctl import threadpool_limits

threadpool_limits(1)  # of numpy, which plugins of pytest have imported
gc.disable()  # until `pytest_collection` ends, because it would look at ever more modules and tests
jax.config.update("jax_num_cpu_devices", 8)
# The command caches programs in the user's folder, which the tests must not touch.
jax.config.update("jax_enable_compilation_cache", False)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# JAX makes a context of MLIR for each program and keeps both. That takes as long as the lowering of
# a small program, and memory; one context serves them all.
mlir.make_ir_context = functools.cache(mlir.make_ir_context)

TESTS_BETWEEN_LOOKS = 50
MOST_MEMORY_MAPS = 30_000
_FINISHED = pytest.StashKey[int]()


@pytest.fixture(scope="module")
def without_pictures():
    """Writes the pages of comparisons of a module without figures."""
    from comparison_inputs import draw_nothing

    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        yield


@pytest.fixture(scope="module")
def prior_alone():
    """Fits no models of scikit-learn beside the losses of a module."""
    from comparison_inputs import fit_prior_alone

    with pytest.MonkeyPatch.context() as patch:
        fit_prior_alone(patch)
        yield


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist, which reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sends the tests of one case or notebook, or else of one file or folder, to one process.

    Such tests share compiled programs and fixtures. They run one after another, so that no program
    is dropped before its last test.
    """
    tests = Path(__file__).parent
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        shared = parameters.get("case") or parameters.get("notebook")
        group = getattr(shared, "name", item.path.relative_to(tests).parts[0])
        item.add_marker(pytest.mark.xdist_group(group))
        groups.setdefault(group, []).append(item)
    items[:] = itertools.chain.from_iterable(groups.values())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Exempts modules and tests, which live as long as the process, from garbage collection.

    Traces make many objects, and few of them are garbage that waits for a collection.
    """
    result = yield
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    gc.enable()
    return result


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Drops compiled programs when they hold many memory maps.

    Linux allows a process 65,530, and a compiler without any left dies.
    """
    count = item.session.stash.setdefault(_FINISHED, 0) + 1
    item.session.stash[_FINISHED] = count
    maps = Path("/proc/self/maps")
    if count % TESTS_BETWEEN_LOOKS == 0 and maps.exists():
        with maps.open("rb") as lines:
            if sum(1 for _ in lines) > MOST_MEMORY_MAPS:
                jax.clear_caches()
                mlir.make_ir_context.cache_clear()
