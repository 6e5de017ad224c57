"""A few random inputs of each kind; `fuzzing` says how to search for longer."""

import fuzzing
import pytest


@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_random_inputs(kind):
    for seed in range({"losses": 25, "metrics": 40, "files": 400, "heads": 12}[kind]):
        fuzzing.draw(kind, seed)
