"""Docstrings contain what the project promises; the examples of docstrings and pages run."""

import dataclasses
import doctest
import importlib
import importlib.util
import inspect
import re
import types
from pathlib import Path

import jax
import pytest
import steps_inputs
from rooms import MODULES

import mllosses_jax as mll
from mllosses_jax import catalogue, compare
from mllosses_jax.compare import strengths

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")
_spec = importlib.util.spec_from_file_location("write_tables", ROOT / "docs" / "write_tables.py")
write_tables = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(write_tables)


def _public(module: types.ModuleType):
    """Yields the public functions and classes of a module, unwrapped, with their names."""
    for name in module.__all__:
        value = inspect.unwrap(getattr(module, name))
        if callable(value) and not isinstance(value, types.GenericAlias):
            yield f"{module.__name__}.{name}", value


PUBLIC = dict(pair for module in MODULES.values() for pair in _public(module))


@pytest.fixture(autouse=True)
def default_promotion():
    """Runs examples as in a user's session, without the strictness of the test session."""
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


@pytest.mark.parametrize("page", write_tables.PAGES, ids=lambda path: path.name)
def test_page_is_current(page):
    text = page.read_text(encoding="utf-8")
    assert write_tables.current(text) == text, "run `python docs/write_tables.py`"


def test_readme_names_the_families_and_the_pages():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for family in {entry.family for entry in catalogue.CATALOGUE}:
        assert f"`{family}`" in text
    for page in sorted({*(ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "index.md"}):
        assert f"(docs/{page.name})" in text


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in (*write_tables.PAGES, *sorted((ROOT / "docs" / "howto").glob("*.md")))
        if "```python" in page.read_text(encoding="utf-8")
    ],
    ids=lambda path: path.name,
)
def test_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some blocks write files
    steps_inputs.shorten(monkeypatch)
    monkeypatch.setattr(compare, "compare", _of_few_rows(compare.compare))
    monkeypatch.setattr(strengths, "search", lambda attempt: {k: attempt(k) for k in (-4, -2)})
    scope: dict = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, page.name, "exec"), scope)


def _of_few_rows(run):
    """Returns `compare` on the first rows of each part, as pages read no figure that it finds."""

    def compare_few(data, **options):
        first = {
            name: getattr(data, name)[:400] for name in ("x_train", "y_train", "x_test", "y_test")
        }
        return run(dataclasses.replace(data, **first), **options)

    return compare_few


def test_citation_names_the_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {mll.__version__}\n" in citation


def test_loss_of_embeddings_is_not_said_to_be_unknown():
    with pytest.raises(KeyError, match="takes embeddings"):
        catalogue.find("multilabel_contrastive_loss")


def test_unknown_loss_suggests_a_name():
    with pytest.raises(KeyError, match=r"did you mean.*sigmoid_focal_loss"):
        catalogue.find("sigmoid_focal")
