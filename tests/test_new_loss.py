"""A loss is added in five places, as docs/contributing.md says; this test does so in a copy."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FAMILY = '''
from mllosses_jax._core.numerics import sigmoid_pair, with_slope

def _brier_slope(x: Array, y: Array) -> Array:
    p, q = sigmoid_pair(x)
    return 2 * ((1 - y) * p - y * q) * p * q


@with_slope(_brier_slope)
def _brier(x: Array, y: Array) -> Array:
    p, q = sigmoid_pair(x)
    return ((1 - y) * p - y * q) ** 2  # (p - y)², without cancellation


@compiled_loss()
def brier_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Brier loss: the squared error of probabilities.

    Formula:
        ℓ = (σ(x) − y)²

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss: (..., L) with "none", else ().

    Reference:
        G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability", 1950.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import brier_loss
        >>> print(brier_loss(jnp.array([0.0]), jnp.array([1])))
        0.25
    """
    inputs = loss_inputs(logits, labels, where)
    losses = _brier(inputs.x, inputs.soft_y)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
'''
ORACLE = """
from oracles.common import sigmoid

def brier_loss(x, y, mask):
    return masked((sigmoid(x) - y) ** 2, mask)
"""
STRAIGHT = """

def brier_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return jnp.mean((jax.nn.sigmoid(x) - y) ** 2, where=where)
"""
REFERENCE = """
from exact import sigmoids

def brier(x: float, y: Any) -> Terms:
    p, q = sigmoids(x)
    error = p.times(1 - y) + q.times(-y)
    return Terms(Jet(mp.one), error * error)


"""


def _edit(path, before, after):
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, (path, before)
    path.write_text(text.replace(before, after), encoding="utf-8")


def _append(path, text):
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_a_loss_that_is_added_in_five_places_goes_through_the_contract(tmp_path):
    for name in ("mllosses_jax", "tests", "docs", "benchmarks"):
        ignore = shutil.ignore_patterns("__pycache__", "golden")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)

    family = tmp_path / "mllosses_jax/losses/binary.py"
    _append(family, FAMILY)
    _edit(
        family, '    "binary_cross_entropy",\n', '    "binary_cross_entropy",\n    "brier_loss",\n'
    )
    catalogue = tmp_path / "mllosses_jax/catalogue.py"
    row = '    Entry(losses.ova_n_loss, "sample", zero_decides=False),\n'
    _edit(catalogue, row, row + '    Entry(losses.brier_loss, "element"),\n')
    cases = tmp_path / "tests/cases.py"
    _edit(cases, '    _row("ova_n_loss"),\n', '    _row("ova_n_loss"),\n    _row("brier_loss"),\n')
    _append(tmp_path / "tests/oracles/binary.py", ORACLE)
    _append(tmp_path / "benchmarks/straight/binary.py", STRAIGHT)
    references = tmp_path / "tests/references/binary.py"
    _append(references, REFERENCE)
    row = '        Row("cross-entropy", bce, cross_entropy, labels, bar=3),\n'
    brier = '        Row("brier", partial(plain, mll.brier_loss), brier, labels),\n'
    _edit(references, row, row + brier)

    suites = ("contract", "contract_devices", "contract_programs", "numerics", "docs", "docstrings")
    suites += ("benchmarks",)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *(f"tests/test_{name}.py" for name in suites),
            *(
                "-k",
                "brier or every_public_loss or every_loss_has",
                "--no-header",
                "-rf",
            ),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-5000:]
    passed = int(result.stdout.rpartition(" passed")[0].split()[-1])
    assert passed > 40, result.stdout[-5000:]
