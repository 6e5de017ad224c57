"""Random inputs against independent oracles: losses, metrics, files and heads.

`tests/test_fuzzing.py` runs a few draws of each kind. For a long search, run

    python tests/fuzzing.py --minutes 60 [--seed N] [--kind losses]

which prints each failing draw with the seed that repeats it, and exits with status 1 if there was
one.
"""

import argparse
import gzip
import itertools
import json
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from cases import CASES, NUM_LABELS
from compiling import jit
from head_inputs import SEPARABLE, assert_close, make_head
from sklearn import metrics as sk

from mllosses_jax import calibration, heads, metrics
from mllosses_jax.data import DataError, load
from mllosses_jax.decisions import ThresholdReport

SAMPLES, LABELS = (1, 2, 8, 33), (1, 2, 5, 17)
SHARES = (0.0, 0.03, 0.4, 1.0)  # of positives
HEAD_CASES = [c for c in SEPARABLE if not any(map(np.ndim, c.kwargs.values()))]


def _inputs(rng, labels):
    """Returns scores, labels and a mask of some number of rows, now and then with ties."""
    shape = int(rng.choice(SAMPLES)), labels
    scores = rng.normal(scale=rng.choice([0.1, 1, 4]), size=shape)
    if rng.random() < 0.3:
        scores = np.round(scores, 1)
    truth = rng.random(shape) < rng.choice(SHARES)
    mask = rng.random(shape) < rng.choice([0.5, 0.9, 1.0])
    return scores.astype(np.float32), truth, mask


def check_loss(rng):
    """Checks one loss, with the parameters of a case, against its oracle in float64."""
    case = CASES[rng.integers(len(CASES))]
    per_label = any(isinstance(value, np.ndarray) for value in case.kwargs.values())
    logits, labels, mask = _inputs(rng, NUM_LABELS if per_label else int(rng.choice(LABELS)))
    logits += rng.normal(scale=1e-3, size=logits.shape).astype(np.float32)  # ties have no rule
    if case.entry.takes == "probabilities":
        logits = 1 / (1 + np.exp(-logits))
    drawn = {}
    if case.traced is not None:
        name, *ends = case.traced
        drawn[name] = float(np.float32(rng.uniform(min(ends), max(ends))))
    kwargs = {**case.kwargs, **drawn}
    if case.entry.kind != "batch":
        kwargs["reduction"] = "none"
    with np.errstate(all="ignore"):
        expected = case.reference(logits, labels.astype(np.float32), mask, **drawn)
    if case.entry.kind != "batch" and rng.random() < 0.5:
        kwargs["weights"] = rng.uniform(0, 3, size=expected.shape).astype(np.float32)
        expected = expected * kwargs["weights"]
    found = jit(lambda x, y, m: case.loss(x, y, where=m, **kwargs))(logits, labels, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=5e-6, err_msg=f"{case} {drawn}")


def check_metric(rng):
    """Checks one metric over columns or rows, where scikit-learn defines it."""
    scores, labels, _ = _inputs(rng, int(rng.choice(LABELS[1:])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if rng.random() < 0.5:
            _check_columns(rng, scores, labels)
        else:
            _check_rows(rng, scores, labels)


def _check_columns(rng, scores, labels):
    mask = rng.random(scores.shape) < rng.choice([0.5, 1.0])
    found = metrics.average_precision(scores, labels, average=None, where=mask)
    curve = metrics.roc_auc(scores, labels, average=None, where=mask)
    counts = metrics.f1(scores > 0, labels, average=None, where=mask)
    for label in range(scores.shape[1]):
        known = mask[:, label]
        y, s = labels[known, label], scores[known, label]
        if y.any():
            expected = sk.average_precision_score(y, s)
            np.testing.assert_allclose(found[label], expected, rtol=1e-5)
            np.testing.assert_allclose(counts[label], sk.f1_score(y, s > 0), rtol=1e-5)
        if y.any() and not y.all():
            np.testing.assert_allclose(curve[label], sk.roc_auc_score(y, s), rtol=1e-5)


def _check_rows(rng, scores, labels):
    pairs = [
        (metrics.label_ranking_average_precision, sk.label_ranking_average_precision_score),
        (metrics.label_ranking_loss, sk.label_ranking_loss),
        (metrics.coverage_error, sk.coverage_error),
    ]
    ours, theirs = pairs[rng.integers(len(pairs))]
    if ours is metrics.coverage_error:
        labels = labels | (np.arange(labels.shape[1]) == 0)  # a row without a label has no coverage
    np.testing.assert_allclose(ours(scores, labels), theirs(labels, scores), rtol=1e-5, atol=1e-6)


def _files(folder, rng):
    """Writes a sound file of each format, and returns their names with their readers."""
    x, y = rng.normal(size=(6, 3)).round(2), rng.random((6, 2)) < 0.5
    rows = [",".join(map(str, [*a, *b.astype(int)])) for a, b in zip(x, y, strict=True)]
    csv = "\n".join(["f,g,h,label:a,label:b", *rows])
    words = [f"{j},{a[0]},{'uv'[j % 2]},{'a;b' if j < 3 else '?'}" for j, a in enumerate(x)]
    table = "\n".join(["id,f,kind,labels", *words, "6,,,b"])
    jsonl = "\n".join(
        json.dumps({"x": list(a), "kind": "uv"[int(b[0])], "labels": ["a", "b"][: 1 + int(b[1])]})
        for a, b in zip(x, y, strict=True)
    )
    lines = [
        f"{','.join(map(str, np.flatnonzero(b)))} " + " ".join(f"{i}:{v}" for i, v in enumerate(a))
        for a, b in zip(x, y, strict=True)
    ]
    names = ["@relation 'r: -C 2'", "@attribute a {0,1}", "@attribute b {0,1}"]
    names += [f"@attribute f{i} numeric" for i in range(3)]
    data = [",".join(map(str, [*b.astype(int), *a])) for a, b in zip(x, y, strict=True)]
    arff = "\n".join([*names, "@data", *data])
    np.savez(folder / "whole.npz", X_train=x, Y_train=y)
    with (folder / "packed.npz").open("wb") as file:
        np.savez_compressed(file, X_train=x, Y_train=y, mask_train=y)
    affine = calibration.AffineCalibrator(jnp.array([0.5, 2.0]), jnp.array([0.0, 1.0]))
    calibration.save(affine, folder / "calibrator.json", ["a", "b"], force=True)
    content = {
        "format": "mllosses_jax thresholds 1",
        "settings": {"inputs": "logits"},
        "labels": {"a": {"threshold": 0.5}, "b": {"threshold": -1.0}},
    }
    for name, text in (
        ("whole.csv", csv),
        ("whole.svm", "\n".join(lines)),
        ("whole.arff", arff),
        ("table.csv", table),
        ("whole.jsonl", jsonl),
        ("thresholds.json", json.dumps(content)),
    ):
        (folder / name).write_text(text)
    (folder / "packed.csv.gz").write_bytes(gzip.compress(csv.encode()))
    names = ("whole.npz", "packed.npz", "whole.csv", "table.csv", "packed.csv.gz", "whole.jsonl")
    return [
        *((name, load) for name in (*names, "whole.svm", "whole.arff")),
        ("calibrator.json", lambda path: calibration.load(path, ["a", "b"])),
        ("thresholds.json", ThresholdReport.load),
    ]


def check_file(rng):
    """Checks that a file with some changed bytes is read, or refused in a line that names it."""
    with tempfile.TemporaryDirectory() as folder:
        files = _files(Path(folder), rng)
        name, read = files[rng.integers(len(files))]
        path = Path(folder) / name
        path.write_bytes(_mutated(path.read_bytes(), rng))
        complaint = _complaint(read, path)
        assert complaint is None or name in complaint, complaint


def _complaint(read, path):
    """Returns the message with which a reader refuses a file, or None if it reads the file."""
    refusals = (DataError, ValueError) if path.suffix == ".json" else (DataError,)
    try:
        read(path)
    except refusals as error:
        return str(error)
    return None


def _mutated(content, rng):
    """Returns the content with some bytes changed, inserted, deleted, repeated or cut off."""
    result = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at, length = int(rng.integers(len(result) + 1)), int(rng.integers(1, 9))
        match rng.integers(5):
            case 0:
                result[at : at + 1] = bytes([rng.integers(256)])
            case 1:
                result[at:at] = rng.bytes(length)
            case 2:
                del result[at : at + length]
            case 3:
                result[at:at] = result[at : at + length] * length
            case _:
                del result[max(at, 1) :]
    return bytes(result)


def check_head(rng):
    """Checks value and gradients of a head of any shape and options against the dense loss."""
    case = HEAD_CASES[rng.integers(len(HEAD_CASES))]
    batch, labels, features = (int(rng.choice(n)) for n in ((1, 2, 7), (1, 3, 17, 40), (1, 5)))
    head = make_head(int(rng.integers(1000)), batch, labels, features)
    positives = rng.integers(-1, labels, (batch, int(rng.choice([1, 4])))).astype(np.int32)
    reduction = str(rng.choice(["sum", "mean", "batchmean", "weighted_mean", "none"]))
    shared = {"loss": case.loss, "loss_kwargs": case.kwargs, "reduction": reduction}
    given = {
        "unknown": rng.integers(-1, labels, (batch, 2)).astype(np.int32),
        "where": rng.random(batch) < 0.7,
        "label_weights": head.label_weights,
        "sample_weights": head.sample_weights,
        "bias": head.bias,
    }
    shared |= {name: value for name, value in given.items() if rng.random() < 0.5}
    implementations = ["dense", "recompute", "checkpoint"]
    implementations += ["one_pass"] if reduction != "none" else []
    own = {
        "chunk_size": int(rng.choice([1, 2, 8, 64])),
        "implementation": str(rng.choice(implementations)),
        "label_axis": int(rng.integers(2)),
    }

    def gradients(function, kernel, **options):
        def value(features, kernel):
            return jnp.sum(function(features, kernel, positives, **options))

        return jit(jax.value_and_grad(value, (0, 1)))(head.features, kernel)

    kernel = head.kernel.T if own["label_axis"] else head.kernel
    value, (of_features, of_kernel) = gradients(heads.linear_head_loss, kernel, **shared, **own)
    found = value, (of_features, of_kernel.T if own["label_axis"] else of_kernel)
    expected = gradients(heads.dense_head_loss, head.kernel, **shared)
    assert_close(found, expected, rtol=2e-4, atol=2e-5)


KINDS = {
    "losses": check_loss,
    "metrics": check_metric,
    "files": check_file,
    "heads": check_head,
}


def draw(kind, seed):
    """Runs one random check of a kind."""
    KINDS[kind](np.random.default_rng([list(KINDS).index(kind), seed]))


def main():
    """Searches for the given time, and returns how many draws failed."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", maxsplit=1)[0], allow_abbrev=False
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", choices=KINDS, help="default: all in turn")
    options = parser.parse_args()
    kinds = [options.kind] if options.kind else list(KINDS)
    end, failures, done = time.monotonic() + 60 * options.minutes, 0, 0
    for seed, kind in ((seed, kind) for seed in itertools.count(options.seed) for kind in kinds):
        if time.monotonic() > end:
            break
        done += 1
        try:
            draw(kind, seed)
        except Exception:
            failures += 1
            print(f"--kind {kind} --seed {seed}\n{traceback.format_exc(limit=-2)}", flush=True)
    print(f"{done} draws, {failures} failed")
    return failures


if __name__ == "__main__":
    sys.exit(main() > 0)
