"""The whole command `mllosses compare`, report included: what it takes, and where the time goes.

- The embedded data with a cold and a warm cache of compiled programs.
- Nine losses on sparse words of the size of bibtex, beside scikit-learn's one-vs-rest logistic
  regression with a cross-validated penalty, which is fitted to the same rows. The bar is twice its
  CPU time for each of the nine losses. Its BLAS has one thread: the products are small, and several
  threads wait for each other by spinning, which takes three times the CPU time.

CPU time is that of a process of its own with all its threads.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
ROWS, FEATURES, LABELS, WORDS = 6000, 1800, 159, 55  # bibtex: 7395 rows, 1836, 159 and 69
NUM_LOSSES, MULTIPLE = 9, 2
COLD, WARM = 90, 45  # seconds of the embedded data on two cores

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

PEER = """
import sys, warnings
import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegressionCV
from sklearn.multiclass import OneVsRestClassifier
warnings.simplefilter("ignore")
data = np.load(sys.argv[1])
words, ends = data["X_train_indices"], data["X_train_indptr"]
x = csr_matrix((np.ones(len(words)), words, ends), shape=data["X_train_shape"])
model = LogisticRegressionCV(Cs=10, cv=3, max_iter=1000)
OneVsRestClassifier(model).fit(x, data["Y_train"])
"""


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns a row for each run of the command, and one for the peer.

    Args:
        quick: whether to take tiny data.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = _words(folder / "words.npz", quick)
        embedded = words if quick else Path("mosaics")
        few = ["--losses", "zlpr_loss"] if quick else []
        rows = [
            _command("embedded, cold cache", embedded, folder, folder / "cache", few),
            _command("embedded, warm cache", embedded, folder, folder / "cache", few),
            _command("sparse words", words, folder, folder / "cache", few),
        ]
        seconds, cpu = _timed([sys.executable, "-c", PEER, str(words)], ONE_THREAD)
        rows.append({"run": "scikit-learn on sparse words", "seconds": seconds, "CPU s": cpu})
    return rows


def report(rows: list[dict[str, Any]]) -> str:
    """Returns which bars are met."""
    by_name = {row["run"]: row for row in rows}
    ours, peer = by_name["sparse words"], by_name["scikit-learn on sparse words"]
    bars = [
        ("cold cache, s", by_name["embedded, cold cache"]["seconds"], COLD),
        ("warm cache, s", by_name["embedded, warm cache"]["seconds"], WARM),
        ("sparse words, CPU s", ours["CPU s"], NUM_LOSSES * MULTIPLE * peer["CPU s"]),
    ]
    return "\n".join(
        f"{what}: {found:.1f} of at most {bar:.0f}{'' if found <= bar else ': missed'}"
        for what, found, bar in bars
    )


def _command(
    name: str, data: Path, folder: Path, cache: Path, options: list[str]
) -> dict[str, Any]:
    """Runs the command and divides its CPU time."""
    out = Path(tempfile.mkdtemp(dir=folder))
    words = [sys.executable, "-m", "mllosses_jax", "compare", str(data), "--out", str(out)]
    seconds, cpu = _timed([*words, *options], {"XDG_CACHE_HOME": str(cache)})
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    training = _cpu_of(results["results"])
    references = _cpu_of(results["references"])
    return {
        "run": name,
        "seconds": seconds,
        "CPU s": cpu,
        "training": training,
        "references": references,
        "the rest": cpu - training - references,
    }


def _cpu_of(rows: dict[str, Any]) -> float:
    return float(sum(figures["cpu_seconds"]["mean"] for figures in rows.values()))


def _timed(command: list[str], variables: dict[str, str]) -> tuple[float, float]:
    """Returns the seconds and the CPU seconds of a process."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    here = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    subprocess.run(command, check=True, capture_output=True, env=os.environ | here | variables)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return end - begin, cpu


def _words(path: Path, quick: bool) -> Path:
    """Writes rows of words, a few of which speak for each label of the row."""
    rng = np.random.default_rng(0)
    rows, labels = (300, 5) if quick else (ROWS, LABELS)
    often = 1 / np.arange(1, FEATURES + 1) ** 0.7
    often /= often.sum()
    share = 1 / np.arange(1, labels + 1) ** 0.6
    y = rng.random((rows, labels)) < np.minimum(2.4 * share / share.sum(), 0.5)
    themes = rng.choice(FEATURES, size=(labels, 15), p=often)
    x = np.zeros((rows, FEATURES), np.float32)
    for row, present in zip(x, y, strict=True):
        row[rng.choice(FEATURES, size=rng.poisson(WORDS), p=often)] = 1
        for label in np.flatnonzero(present):
            row[rng.choice(themes[label], size=5)] = 1
    cut = rows * 5 // 6
    np.savez(
        path,
        **_pieces("X_train", x[:cut]),
        Y_train=y[:cut],
        **_pieces("X_test", x[cut:]),
        Y_test=y[cut:],
    )
    return path


def _pieces(name: str, matrix: NDArray[np.float32]) -> dict[str, Any]:
    """Returns a matrix of zeros and ones as an archive stores a sparse one."""
    row, column = np.nonzero(matrix)
    ends = np.searchsorted(row, np.arange(len(matrix) + 1))
    pieces = {"indptr": ends, "indices": column, "shape": matrix.shape}
    return {f"{name}_{piece}": array for piece, array in pieces.items()}
