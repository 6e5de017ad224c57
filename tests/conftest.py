"""Strict settings for every test: no silent promotion, no silent broadcast, eight CPU devices."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sends the tests of one case, or else of one file, to one process: they share programs."""
    for item in items:
        case = getattr(item, "callspec", None) and item.callspec.params.get("case")
        group = getattr(case, "name", item.path.name)
        item.add_marker(pytest.mark.xdist_group(group))
