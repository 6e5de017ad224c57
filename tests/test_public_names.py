"""The names that packages show, and the hints for a misspelled name or keyword."""

import pickle
import subprocess
import sys

import jax.numpy as jnp
import pytest
from rooms import MODULES

import mllosses_jax as mll

X = jnp.zeros((2, 3))


@pytest.mark.parametrize("module", [mll, *MODULES.values()], ids=lambda module: module.__name__)
def test_dir_is_what_is_public(module):
    assert dir(module) == sorted(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    for public_name in module.__all__:
        getattr(module, public_name)


@pytest.mark.parametrize(
    ("name", "misspelled", "meant"),
    [
        ("", "zlpr", "zlpr_loss"),
        ("", "metric", "metrics"),
        ("losses", "assymetric_loss", "asymmetric_loss"),
        ("labels", "from_nans", "from_nan"),
        ("compare", "compar", "compare"),
        ("metrics", "f_1", "f1"),
        ("metrics", "average_precison", "average_precision"),
        ("metrics.streaming", "ConfusionCount", "ConfusionCounts"),
        ("decisions", "tune_threshold", "tune_thresholds"),
        ("calibration", "fit_plat", "fit_platt"),
        ("weighting", "label_count", "label_counts"),
    ],
)
def test_misspelled_names_get_a_hint(name, misspelled, meant):
    module = MODULES[name] if name else mll
    with pytest.raises(AttributeError) as raised:
        getattr(module, misspelled)
    assert str(raised.value) == (
        f"module '{module.__name__}' has no attribute '{misspelled}'; did you mean {meant}?"
    )


def test_names_unlike_any_other_and_private_ones_get_no_hint():
    for name in ("quux", "_f1", "__f1__"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'$"):
            getattr(mll.metrics, name)


def test_tracebacks_hint_once():
    script = "import mllosses_jax as mll; mll.metrics.f_1"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stderr.strip().endswith("has no attribute 'f_1'; did you mean f1?")


def test_packages_can_be_reloaded():
    script = (
        "import importlib, mllosses_jax as mll\n"
        "shown = {module: dir(module) for module in (mll.losses, mll.metrics, mll)}\n"
        "for module, names in shown.items():\n"
        "    assert dir(importlib.reload(module)) == names"
    )
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)


def test_submodules_and_pickles_are_still_found():
    assert mll.metrics.curves.average_precision is mll.metrics.average_precision
    for value in (mll.metrics.f1, mll.metrics.streaming.ConfusionCounts):
        assert pickle.loads(pickle.dumps(value)) is value


@pytest.mark.parametrize(
    ("function", "keyword", "message"),
    [
        (mll.sigmoid_focal_loss, "gama", "did you mean gamma?"),
        (mll.zlpr_loss, "reducton", "did you mean reduction?"),
        (mll.metrics.f1, "avarage", "did you mean average?"),
        (mll.metrics.recall_at_precision, "precison", "did you mean precision?"),  # required
        (mll.metrics.roc_curve, "were", "did you mean where?"),  # not compiled
        (
            mll.metrics.one_error,
            "quux",
            "its parameters are scores, labels, weights, where",
        ),
    ],
)
def test_misspelled_keywords_get_a_hint(function, keyword, message):
    with pytest.raises(TypeError) as raised:
        function(X, X, **{keyword: 1})
    name = function.__name__
    assert str(raised.value) == f"{name}: got an unexpected keyword argument '{keyword}'; {message}"
