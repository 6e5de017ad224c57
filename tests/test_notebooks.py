"""The notebooks run, and store the outputs of one run in order, with every figure."""

import json
from pathlib import Path

import jax
import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
LARGEST = 500_000  # bytes; every new run is committed again

every_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)


@pytest.fixture(autouse=True)
def session_of_a_user():
    """Sets JAX's default promotion, and a backend that shows no windows."""
    backend = plt.get_backend()
    plt.switch_backend("agg")
    plt.close("all")  # examples of plots leave their figures open
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"), mpl.rc_context():
        yield
    plt.close("all")
    plt.switch_backend(backend)


def _code_cells(notebook: Path):
    cells = json.loads(notebook.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@every_notebook
def test_notebook_runs_and_holds_its_figures(notebook):
    scope: dict = {}
    for number, cell in enumerate(_code_cells(notebook), 1):
        exec(compile("".join(cell["source"]), f"{notebook.name}[{number}]", "exec"), scope)
        stored = sum("image/png" in output.get("data", {}) for output in cell["outputs"])
        assert stored == len(plt.get_fignums()), f"cell {number}: run `notebooks/execute.py`"
        plt.close("all")
    assert scope


@every_notebook
def test_outputs_are_those_of_one_run_from_top_to_bottom(notebook):
    cells = _code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert all(output["output_type"] != "error" for output in cell["outputs"])
        assert all(output.get("name") != "stderr" for output in cell["outputs"])


@every_notebook
def test_file_holds_nothing_that_changes_from_run_to_run(notebook):
    content = json.loads(notebook.read_text())
    assert content["metadata"]["language_info"] == {"name": "python"}
    assert all(cell["metadata"] == {} for cell in content["cells"])
    assert notebook.stat().st_size < LARGEST
