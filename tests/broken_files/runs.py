"""Broken folders of a comparison that is to be resumed."""

import dataclasses
import functools
import io
import json

import numpy as np

from broken_files import DEEP, DIGITS, LOSS
from broken_files.arrays import archive, claims, header


def finished(data, out):
    """Writes the folder of a comparison on this data, with one finished loss."""
    for file, content in _run(data).items():
        path = out / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def folders(data):
    """Yields a name, a file of the folder of a finished run, and its broken content."""
    files = _run(data)
    results = "results.json"
    document = json.loads(files[results])
    for name, content in {
        "empty": "",
        "list": "[1]",
        "null": "null",
        "deep": "[" * DEEP + "]" * DEEP,
        "digits": f'{{"a": {DIGITS}}}',
        "bare": "{}",
        "binary": bytes(range(256)),
        "losses": json.dumps(document | {"config": {"losses": [3]}}),
        "losses-text": json.dumps(document | {"config": {"losses": "no_loss"}}),
        "config": json.dumps(document | {"config": []}),
        "results": json.dumps(document | {"results": 3}),
        "data": json.dumps(document | {"data": "abc"}),
    }.items():
        yield f"results-{name}", results, content
    for file in ("model.npz", "validation.npz", "test.npz"):
        place = f"losses/{LOSS}/{file}"
        whole = files[place]
        with np.load(io.BytesIO(whole)) as loaded:
            sound = dict(loaded)
        first = "scores" if "scores" in sound else "residuals"
        rest = {name: array for name, array in sound.items() if name != first}
        for name, content in {
            "cut": whole[:-30],
            "empty": b"",
            "text": b"text",
            "lacks": archive(rest),
            "claims": archive(rest | {first: header(claims((10**7, 10**7)))}),
            "pickled": archive(rest | {first: np.array([{}], object)}),
            "shape": archive(rest | {first: np.zeros((2, 1), np.float32)}),
            "words": archive(rest | {first: np.full(sound[first].shape, "a")}),
            "deep": archive(rest | {first: header(claims("(" * 3000 + ")" * 3000))}),
        }.items():
            yield f"{file}-{name}", place, content
    place = f"losses/{LOSS}/model.npz"
    with np.load(io.BytesIO(files[place])) as loaded:
        sound = dict(loaded)
    for name in ("label_thresholds", "global_threshold", "calibrator_slope", "tried/score"):
        yield f"model-{name.replace('/', '-')}", place, archive(sound | {name: np.zeros((7, 7))})


@functools.cache
def _run(data):
    """Returns the files that the library writes for a run of one loss, without training."""
    from comparison_inputs import make_outcome

    from mllosses_jax.compare import compare
    from mllosses_jax.compare.choosing import parse
    from mllosses_jax.compare.experiments import EXPERIMENTS

    def run(dataset, objective, settings, on_pass):
        return make_outcome(dataset, models=1)

    trained = EXPERIMENTS["linear"]
    EXPERIMENTS["linear"] = dataclasses.replace(trained, run=run)
    out = data.with_name("run")
    compare(data, losses=[parse(LOSS)], out=out)
    EXPERIMENTS["linear"] = trained
    (out / "report.md").unlink()  # the run was interrupted
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
