"""One of two processes that share a comparison: `python compare_process.py PORT RANK FOLDER`.

`test_compare_processes` starts both and compares what they return with the answer of one process.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from comparison_inputs import draw_nothing, fit_prior_alone

from mllosses_jax.compare import compare
from mllosses_jax.data import Dataset

LOSSES = ("sigmoid_binary_cross_entropy", "squared_hinge_loss(margin=0.5|1)", "zlpr_loss")
LATER = "soft_f1_loss"


def make_dataset():
    """Returns a small data set with a test part."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(90, 5)).astype(np.float32)
    y = x @ generator.normal(size=(5, 3)) + generator.normal(size=(90, 1)) > 0.5
    parts = {"x_train": x[:60], "y_train": y[:60], "x_test": x[60:], "y_test": y[60:]}
    return Dataset(name="toy", label_names=("a", "b", "c"), **parts)


def told(losses, out):
    """Returns the results of a comparison, and what its process said that it did."""
    texts = []
    comparison = compare(
        make_dataset(),
        losses=losses,
        num_seeds=1,
        out=out,
        on_progress=lambda done, total, text: texts.append(text.split(" (about")[0]),
    )
    return {"results": comparison.results, "texts": list(dict.fromkeys(texts))}


def main():
    """Compares the losses, and then one more in the same folder."""
    port, rank, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    jax.config.update("jax_platforms", "cpu")
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    for quicker in (draw_nothing, fit_prior_alone):
        quicker(pytest.MonkeyPatch())
    found = [told(LOSSES, folder / "out"), told(LATER, folder / "out")]
    (folder / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
