"""Docstrings hold what the project promises, examples run, the tables of losses are current."""

import doctest
import inspect
import operator
import re
import types
from pathlib import Path

import jax
import pytest

import mllosses_jax as mll
from mllosses_jax import catalogue

ROOT = Path(__file__).parent.parent
SUBMODULES = (
    "calibration",
    "data",
    "decisions",
    "labels",
    "metrics",
    "metrics.streaming",
    "pseudo_labels",
    "training",
    "weighting",
)


def _public(module: types.ModuleType):
    """Yields the public functions and classes of a module, unwrapped, with their names."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    for name in names:
        value = inspect.unwrap(getattr(module, name))
        if callable(value) and not isinstance(value, types.GenericAlias):
            yield f"{module.__name__}.{name}", value


PUBLIC = dict(
    pair for name in ("losses", *SUBMODULES) for pair in _public(operator.attrgetter(name)(mll))
)


@pytest.fixture(autouse=True)
def default_promotion():
    """Examples run as a user's session would: without the strictness of the test session."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _run(name, obj):
    examples = doctest.DocTestFinder(recurse=False).find(obj, name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    report = []
    for example in examples:
        runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)
    return sum(len(example.examples) for example in examples)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_example_of(name):
    assert PUBLIC[name].__doc__
    ran = _run(name, PUBLIC[name])
    if inspect.isfunction(PUBLIC[name]):
        assert ran > 0, f"{name} has no example"


@pytest.mark.parametrize("module", [mll, mll.metrics.streaming], ids=lambda m: m.__name__)
def test_example_of_the_package(module):
    assert _run(module.__name__, module) > 0


@pytest.mark.parametrize("entry", catalogue.CATALOGUE, ids=lambda entry: entry.name)
def test_docstring_of_a_loss_is_complete(entry):
    for title in ("Formula", "Args", "Returns", "Reference", "Example"):
        assert entry.section(title), title
    arguments = set(inspect.signature(entry.loss).parameters)
    assert set(entry.parameters) == arguments
    assert re.search(r"\b(19|20)\d\d\b|PyTorch", entry.reference)
    assert entry.loss.__module__.endswith(f".{entry.family}")


def test_page_of_losses_shows_the_catalogue():
    assert catalogue.markdown_table() in (ROOT / "docs" / "losses.md").read_text()


def test_readme_names_the_families_and_counts_the_losses():
    text = (ROOT / "README.md").read_text()
    assert f"{len(catalogue.CATALOGUE)} losses" in text
    for family in {entry.family for entry in catalogue.CATALOGUE}:
        assert f"`{family}`" in text
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert f"(docs/{page.name})" in text


def test_readme_code_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    scope: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)


def test_unknown_loss_suggests_a_name():
    with pytest.raises(KeyError, match=r"did you mean.*sigmoid_focal_loss"):
        catalogue.find("sigmoid_focal")
