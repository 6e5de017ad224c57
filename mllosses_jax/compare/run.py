"""The experiment from end to end: each loss is trained, judged and written down."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mllosses_jax.compare import grids, parts, references, report
from mllosses_jax.compare.bound_loss import why_not_through_head
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.checks import known_codes
from mllosses_jax.compare.choice import BASELINE, AnyChoice
from mllosses_jax.compare.choosing import Losses, choose
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.document import document
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.experiments import EXPERIMENTS
from mllosses_jax.compare.folder import Folder, alone
from mllosses_jax.compare.loading import load_data
from mllosses_jax.compare.outcome import PREDICTOR
from mllosses_jax.compare.own_metric import Metrics, OwnMetric, choose_metrics, try_metrics
from mllosses_jax.compare.own_model import Model, OwnModel, resolve
from mllosses_jax.compare.preprocessing import Preprocessing
from mllosses_jax.compare.progress import OnProgress, Passes
from mllosses_jax.compare.settings import MANY_LABELS, Settings
from mllosses_jax.data import Dataset


def compare(
    data: str | PathLike[str] | Dataset,
    *,
    labels: int | Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    groups: str | ArrayLike | None = None,
    losses: Losses = None,
    grid: bool = False,
    metrics: Metrics = None,
    model: Model = "linear",
    num_seeds: int = 5,
    out: str | PathLike[str] | None = None,
    force: bool = False,
    run_file: str | None = None,
    ignore: str | Sequence[str] = (),
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Compares losses on a data set, by the test scores of the models that they train.

    Args:
        data: a data set, or what `mllosses_jax.data.load` takes. Dense features are standardised;
            those of more than two axes, which only a model of your own takes, are not.
        labels: the label columns of a table.
        drop: the columns of a table to leave out.
        groups: the group of each training row, before a test part is drawn, such as a patient's
            number; or the column of a table that holds it, which is then no feature. All rows of a
            group are in one part: the test part, if it is drawn, or a part held out for validation.
        losses: losses, as a sequence or separated by commas, each a name or a name with parameters
            (`"asymmetric_loss(gamma_neg=2)"`) or a sum (`"asymmetric_loss+0.5*dice_loss"`);
            functions, in a sequence or as `{name: function}`; "all"; or None for the default. A
            function is one of this package, a sum of `weighted_sum`, or one of your own, which is
            called as `(logits, labels)` and, if it takes it, with `where`. It returns a scalar, or
            values by row or entry, which are averaged. In text it is `package.module:function`.
            Numbers between bars (`"hinge_loss(margin=0.5|1)"`) are tried one by one, and validation
            chooses among them.
        grid: whether losses that are named without parameters get the values of the catalogue to
            choose from.
        metrics: further metrics: functions of `mllosses_jax.metrics` by name, with parameters if
            need be (`"precision_at_k(k=3)"`), or your own, called as `(scores, labels)` with logits
            and, if they take it, `where`, and returning a number. They are given like losses; a
            dict may also hold `(function, higher_is_better)`, and a function may have an attribute
            `higher_is_better`, which is True otherwise.
        model: "linear"; "mlp"; or your own, which is trained like the MLP: a function
            `(num_features, num_outputs, rngs)` that returns a Flax module, a Flax Linen module, or
            a pair of functions `(init(key, features), apply(params, features))`. In text it is
            `package.module:function`.
        num_seeds: the number of seeds, and of models per loss if training depends on the seed.
        out: a folder for the results, or None to write nothing. It is written after each loss.
            Losses of the same experiment that are finished there are compared without being
            trained again.
        force: whether to overwrite the contents of the folder.
        run_file: TOML for run.toml in the folder; the command keeps its options there.
        ignore: codes of checks to leave out (`"MLC007"`), as a sequence or separated by commas.
        on_progress: called as `(done_passes, total_passes, text)`.

    Returns:
        The comparison of the losses.

    Raises:
        DataError: the data cannot be read, or a part of it has no known label.
        ComparisonError: another argument is wrong.
        Occupied: the folder holds something that must not be overwritten; a ComparisonError.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax.compare import compare
        >>> from mllosses_jax.data import Dataset
        >>> x = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
        >>> parts = {"x_train": x[:60], "x_test": x[60:]}
        >>> labels = {"y_train": x[:60, :2] > 0, "y_test": x[60:, :2] > 0}
        >>> dataset = Dataset(name="signs", label_names=("first", "second"), **parts, **labels)
        >>> comparison = compare(dataset, losses="sigmoid_binary_cross_entropy, zlpr_loss")
        >>> comparison.results["zlpr_loss"]["map"]["mean"] > 0.9
        True
    """
    if force and out is None:
        raise ComparisonError("there is nothing to overwrite (force): give a folder (out)")
    resolved = resolve(model)
    if not isinstance(num_seeds, int | np.integer) or num_seeds is True or num_seeds < 1:
        raise ComparisonError(
            f"seeds must be a whole number of at least 1 (num_seeds), got {num_seeds!r}"
        )
    if not isinstance(out, str | PathLike | None):
        raise ComparisonError(f"the folder must be a path (out), got {out!r}")
    ignored, choices = known_codes(ignore), choose(losses, grid=grid)
    further = choose_metrics(metrics)
    source = {} if run_file is None else tomllib.loads(run_file)
    if not isinstance(data, Dataset):
        source = {"data": str(data), "labels": labels, "drop": drop}
    dataset = load_data(data, labels=labels, drop=drop, groups=groups)
    num_labels, own = len(dataset.label_names), resolved if isinstance(resolved, OwnModel) else None
    if own is None and len(dataset.feature_shape) > 1:
        raise ComparisonError(
            f"a row has {' x '.join(map(str, dataset.feature_shape))} features, but the {resolved} "
            "model takes one axis; flatten them, or give a model of your own (model)"
        )
    many = resolved == "linear" and num_labels > MANY_LABELS
    settings = Settings(
        model="own" if isinstance(resolved, OwnModel) else "linear_head" if many else resolved,
        num_seeds=int(num_seeds),
        own_model=None if own is None else own.name,
    )
    parts.check_groups(dataset, settings)
    choices, left_out = _fitting(choices) if many else (choices, {})
    if many and further:
        raise ComparisonError(
            f"above {MANY_LABELS} labels not all scores are kept, so there are no further metrics; "
            "leave them out (metrics)"
        )
    try_metrics(further, dataset)
    experiment = EXPERIMENTS[settings.model]
    # What a loss does not accept is refused here, before any training.
    bound_losses = {choice: experiment.bind(choice, dataset) for choice in choices}
    config = asdict(settings)
    if own is not None:
        for bound, *_ in bound_losses.values():
            own.network(dataset.feature_shape, bound.num_outputs)
        config["parameters"] = own.parameters(dataset.feature_shape, num_labels)
    compared = functools.partial(
        _compared,
        dataset,
        settings,
        own,
        bound_losses,
        left_out,
        ignored,
        further,
        source,
        on_progress=on_progress,
    )
    if out is None:
        return compared(folder=None, identity={})
    identity = {
        "config": config,
        "data": {**data_card(dataset), "sha256": fingerprint(dataset)},
    }
    with alone(Path(out)):
        folder = Folder(Path(out), identity, choices, force, run_file)
        return compared(folder=folder, identity=identity)


def _fitting(choices: Sequence[AnyChoice]) -> tuple[tuple[AnyChoice, ...], dict[str, str]]:
    """Returns the losses that a head can compute, and why it cannot compute the others."""
    reasons = {choice: why_not_through_head(choice) for choice in choices}
    left_out = {choice.label: reason for choice, reason in reasons.items() if reason is not None}
    fitting = tuple(choice for choice, reason in reasons.items() if reason is None)
    if not fitting:
        each = "; ".join(f"{label} {reason}" for label, reason in left_out.items())
        raise ComparisonError(
            f"none of the losses can be trained over more than {MANY_LABELS} labels (losses): "
            f"{each}"
        )
    return fitting, left_out


def _compared(
    dataset: Dataset,
    settings: Settings,
    own: OwnModel | None,
    bound_losses: dict[AnyChoice, tuple[Any, ...]],
    left_out: dict[str, str],
    ignore: tuple[str, ...],
    further_metrics: tuple[OwnMetric, ...],
    source: dict[str, Any],
    folder: Folder | None,
    identity: dict[str, Any],
    on_progress: OnProgress | None,
) -> Comparison:
    """Trains and judges the losses, including those in the folder, which holds this same run."""
    choices = tuple(bound_losses) if folder is None else folder.choices
    experiment = EXPERIMENTS[settings.model]
    preprocessing = Preprocessing.of(dataset)
    about = preprocessing.arrays() | {"model": np.array(settings.model)}
    dataset = dataset.standardized()

    # The usual baseline comes first; if it was not asked for, the first loss takes its place.
    choices = tuple(sorted(choices, key=lambda choice: choice.label != BASELINE))
    comparison = Comparison(
        dataset, settings, baseline=choices[0].label, left_out=left_out, ignore=ignore
    )
    comparison.preprocessing = preprocessing
    comparison.further_metrics, comparison.source = further_metrics, source
    most = max(len(grids.settings_of(choice)) for choice in choices)
    progress = Passes(len(choices), most * experiment.passes, on_progress)
    for choice in choices:
        bounds = bound_losses.get(choice) or experiment.bind(choice, dataset)
        if bounds[0].given:
            comparison.given[choice.label] = bounds[0].given
        network: dict[str, Any] = {}
        about_model: dict[str, Any] = {}
        if own is not None:
            built = own.network(dataset.feature_shape, bounds[0].num_outputs)
            comparison.networks[choice.label] = built
            network, about_model = {"network": built.network}, built.about()
        outcome = None if folder is None else folder.load(choice, dataset, experiment.outcome)
        progress.begin(choice.label, trained=outcome is None)
        if outcome is None:
            run = functools.partial(
                experiment.run, dataset, settings=settings, on_pass=progress.advance, **network
            )
            outcome = grids.train(choice, bounds, run)
            if folder is not None:
                folder.save(choice, outcome, dataset, about | about_model)
        comparison.add(choice, outcome)
        if folder is not None:
            folder.write_decisions(choice, comparison.thresholds[choice.label], outcome)
            _write(folder, identity, comparison)
    # References come last: losses are what is waited for, and have then compiled what all share.
    for name, fit in references.available(settings).items():
        outcome = None if folder is None else folder.load(name, dataset, experiment.outcome)
        if outcome is None:
            progress.say(f"fitting: {name}")
            outcome = fit(dataset)
            if folder is not None:
                folder.save(name, outcome, dataset, about)
        comparison.add_reference(name, outcome)
    if folder is not None:
        _write(folder, identity, comparison)
        label = comparison.recommended
        folder.write_decisions(None, comparison.thresholds[label], comparison.outcomes[label])
        comparison.predictor().save(folder.path / PREDICTOR, force=True)
        folder.write_options()
        folder.write_report(comparison)
    return comparison


def _write(folder: Folder, identity: dict[str, Any], comparison: Comparison) -> None:
    """Writes what is finished so far."""
    rows = report.csv_rows(comparison)
    folder.write(folder.named(identity) | document(comparison), rows)
