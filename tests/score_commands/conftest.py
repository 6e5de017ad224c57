"""Files of scores and labels, and the commands that read them."""

import numpy as np
import pytest
from score_inputs import NAMES, flipped, sigmoid, write_csv

from mllosses_jax.cli.main import main


@pytest.fixture(scope="session")
def arrays():
    """Returns logits, labels (the last one never occurs), and which labels are known."""
    generator = np.random.default_rng(0)
    y = generator.random((120, 5)) < [0.5, 0.3, 0.2, 0.15, 0]
    x = 2 * generator.normal(size=y.shape) + 3 * y - 1
    known = generator.random(y.shape) < 0.9
    known[:, 1] = True
    return x, y, known


@pytest.fixture(scope="session")
def files(arrays, tmp_path_factory):
    """Writes the same data to every kind of file; the .csv of labels has another column order."""
    x, y, known = arrays
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "x.npy", x)
    np.save(folder / "x32.npy", x.astype(np.float32))
    np.save(folder / "p.npy", sigmoid(x))
    np.save(folder / "y.npy", y)
    np.save(folder / "y_nan.npy", np.where(known, y, np.nan))
    np.savez(folder / "x.npz", x, label_names=np.array(NAMES))
    np.savez(folder / "y.npz", labels=y.astype(int), where=known, label_names=np.array(NAMES))
    hidden = np.where(known, x, np.nan)  # unknown entries need no score
    np.savez(folder / "both.npz", scores=hidden, labels=y, mask=known, label_names=np.array(NAMES))
    write_csv(folder / "x.csv", NAMES, [map(repr, row.tolist()) for row in x])
    write_csv(
        folder / "y.csv",
        NAMES[::-1],
        [
            [str(int(v)) if k else "" for v, k in zip(*row, strict=True)]
            for row in flipped(y, known)
        ],
    )
    return folder


@pytest.fixture
def mllosses(files, tmp_path, monkeypatch, capsys):
    """Runs a command; the name of a file in `files` stands for its path."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        real = [files / a if (files / str(a)).is_file() else a for a in arguments]
        status = main([str(argument) for argument in real])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture(scope="session")
def compared(arrays, files):
    """Writes files as `mllosses compare` does, once with unknown labels and once without."""
    x, y, known = arrays
    content = {
        "scores": x.astype(np.float32),
        "labels": y,
        "label_names": np.array(NAMES),
        "inputs": np.array("logits"),
        "rows": np.arange(len(x)),
    }
    np.savez(files / "test.npz", **content, where=known)
    np.savez(files / "validation.npz", **content)
    return content
