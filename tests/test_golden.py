"""Values and gradients computed with the authors' own code agree, or the difference is asserted."""

import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from golden_calls import MAPPINGS, Case
from golden_calls.differences import DIFFERENCES, close, difference

FOLDER = Path(__file__).parent / "golden"

# Files of losses that the package does not have
WITHOUT_A_LOSS = {
    "gce_truncated": "truncated softmax GCE of one class, with weights per sample as state",
    "keras_categorical_gce": "softmax GCE of one class; ours is the binary form, for each label",
    "poly1_softmax": "softmax Poly-1 of one class; ours are the binary and the focal form",
    "timm_poly_ce": "softmax Poly-1 of one class; ours are the binary and the focal form",
    "psm_partial_softmax_distill": "distils a softmax over one positive and all negatives; ours "
    "is the two-logit form of the same paper",
    "seesaw": "softmax of one class, with class counts as state",
    "eqlv2": "weights from accumulated gradients as state, for detectors; ours is version 1",
    "soap_map": "weights from moving averages of every sample as state; ours is the smooth AP",
    "strictly_proper_asl_mlcpl": "a port by others that applies the inverse link to the scores "
    "twice; no published result does that; ours has the same link, see test_inverse_link.py",
}
WEIGHTS = ("timm_class_weights", "propensity_weights")
IN_FLOAT32 = ("timm_bce", "monai_focal", "asl_mmpretrain", "softmax_cross_entropy_soft", "zlpr")
CASES = [
    Case(path.stem, index, stored)
    for path in sorted(FOLDER.glob("*.json"))
    if path.stem not in WITHOUT_A_LOSS
    for index, stored in enumerate(json.loads(path.read_text()))
]


@functools.cache
def results(name: str, dtype: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns our value and the gradient of its sum for each case of a file, compiled once."""
    cases = [case._replace(dtype=dtype) for case in CASES if case.name == name]

    def value_and_gradient(x, case):
        def total(x):
            value = MAPPINGS[name](x, case)
            return jnp.sum(value), value

        gradient, value = jax.grad(total, has_aux=True)(x)
        return value, gradient

    @jit
    def everything(logits):
        return [value_and_gradient(x, case) for x, case in zip(logits, cases, strict=True)]

    return jax.device_get(everything([case.variable for case in cases]))


def agrees(case: Case) -> None:
    value, gradient = results(case.name, case.dtype)[case.index]
    assert value.dtype == gradient.dtype == case.dtype
    stored = case.stored
    expected = np.array(stored["value"], np.float64)
    expected_gradient = case.gradient
    check = difference(case)
    if check is not None:
        check(case, value, gradient, expected, expected_gradient)
        return
    if case.name in WEIGHTS:
        (expected,) = map(np.array, stored["extra"].values())
    if value.ndim == 1 and expected.ndim == 2:
        expected = expected.sum(-1)  # theirs is per entry, ours is per sample
    close(value, expected, case)
    close(gradient, expected_gradient, case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_in_float64(case):
    with jax.enable_x64(True):
        agrees(case)


@pytest.mark.parametrize("case", [c for c in CASES if c.name in IN_FLOAT32], ids=str)
def test_agrees_in_float32(case):
    agrees(case._replace(dtype=np.float32))


def test_every_file_and_every_difference_is_used():
    assert {path.stem for path in FOLDER.glob("*.json")} == {*MAPPINGS, *WITHOUT_A_LOSS}
    assert not set(MAPPINGS) & set(WITHOUT_A_LOSS)
    for name, applies, _ in DIFFERENCES:
        assert any(case.name == name and applies(case) for case in CASES)
