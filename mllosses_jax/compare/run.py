"""The experiment from end to end: each loss is trained, judged and written down."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from mllosses_jax.compare import grids, processes, references, report
from mllosses_jax.compare.choice import BASELINE, AnyChoice, learns_threshold
from mllosses_jax.compare.choosing import Losses
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.document import document
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Folder
from mllosses_jax.compare.large.outcome import RankedOutcome
from mllosses_jax.compare.loading import load_data
from mllosses_jax.compare.outcome import PREDICTOR, Outcome
from mllosses_jax.compare.own_metric import Metrics
from mllosses_jax.compare.own_model import Model, OwnNetwork
from mllosses_jax.compare.plan import Plan, Request
from mllosses_jax.compare.preprocessing import Preprocessing
from mllosses_jax.compare.progress import OnProgress, Passes
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
            trained again. Processes that `jax.distributed.initialize` has joined, each of which
            makes the same call, share the losses and the folder, and all return the comparison.
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
    if not isinstance(out, str | PathLike | None):
        raise ComparisonError(f"the folder must be a path (out), got {out!r}")
    request = Request.of(
        losses=losses, grid=grid, metrics=metrics, model=model, num_seeds=num_seeds, ignore=ignore
    )
    source = {} if run_file is None else tomllib.loads(run_file)
    if not isinstance(data, Dataset):
        source = {"data": str(data), "labels": labels, "drop": drop}
    plan = Plan.of(request, load_data(data, labels=labels, drop=drop, groups=groups))
    if out is None:
        if processes.several():
            raise ComparisonError(
                "several processes share their results through a folder (out): give one that all "
                "of them can write to"
            )
        return _Run(plan, source, on_progress).whole()
    identity = plan.identity()

    def prepare() -> Folder:
        joins = not processes.is_first()
        return Folder(Path(out), identity, tuple(plan.losses), force, run_file, joins=joins)

    with processes.opened(Path(out), prepare) as folder:
        return _Run(plan, source, on_progress, folder, identity).whole()


Fit: TypeAlias = Callable[[Dataset], Outcome | RankedOutcome]


class _Run:
    """The execution of a plan: each loss, and then each reference, is trained and judged.

    If there is a folder, each is written to it as soon as it is finished, and what it holds already
    is not trained again. If there are several processes, each first trains its share; then all of
    them judge everything, and the first one writes the results.

    Args:
        plan: what to run.
        source: the file of the data and how it was read, as far as is known.
        on_progress: called as `(done_passes, total_passes, text)`.
        folder: the folder for the results, or None.
        identity: what `results.json` says about the plan.
    """

    def __init__(
        self,
        plan: Plan,
        source: dict[str, Any],
        on_progress: OnProgress | None,
        folder: Folder | None = None,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        self.plan, self.folder, self.identity = plan, folder, dict(identity or {})
        self.written = folder if processes.is_first() else None  # what all losses say together
        self.others_train = False  # whether what the folder does not hold comes from others
        self.dataset = plan.dataset.standardized()
        self.preprocessing = Preprocessing.of(plan.dataset)
        choices = tuple(plan.losses) if folder is None else folder.choices
        # The usual baseline comes first; if it was not asked for, the first loss takes its place.
        self.choices = tuple(sorted(choices, key=lambda choice: choice.label != BASELINE))
        self.comparison = Comparison(
            self.dataset,
            plan.settings,
            baseline=self.choices[0].label,
            left_out=dict(plan.left_out),
            ignore=plan.ignore,
            preprocessing=self.preprocessing,
            further_metrics=plan.metrics,
            source=source,
        )
        most = max(len(grids.settings_of(choice)) for choice in self.choices)
        self.progress = Passes(len(self.choices), most * plan.experiment.passes, on_progress)

    def whole(self) -> Comparison:
        """Returns the comparison of all losses."""
        of_references = references.available(self.plan.settings)
        if processes.several():
            self._train_share(of_references)
        for choice in self.choices:
            self._loss(choice)
        # References come last: losses are what is waited for, and have then compiled what all
        # share.
        for name, fit in of_references.items():
            self.comparison.add_reference(name, self._held_by_folder(name) or self._fit(name, fit))
        if self.written is not None:
            self._write_results(self.written)
            self._write_end(self.written)
        return self.comparison

    def _train_share(self, of_references: Mapping[str, Fit]) -> None:
        """Trains what falls to this process and is not finished."""
        self.progress.num_losses += len(processes.share(self.choices))
        for what in processes.share([*self.choices, *of_references]):
            if self._held_by_folder(what) is not None:
                continue
            if isinstance(what, str):
                self._fit(what, of_references[what])
            else:
                self._train(what)
        self.others_train = True

    def _loss(self, choice: AnyChoice) -> None:
        """Trains a loss, unless the folder holds it, judges it, and writes what is finished."""
        comparison, bounds = self.comparison, self.plan.bound(choice)
        if bounds[0].given:
            comparison.given[choice.label] = bounds[0].given
        network = self._network(bounds)
        if network is not None:
            comparison.networks[choice.label] = network
        outcome = self._held_by_folder(choice)
        if outcome is None:
            outcome = self._train(choice)
        else:
            self.progress.begin(choice.label, trained=False)
        comparison.add(choice, outcome)
        if self.written is not None:
            self.written.write_decisions(choice, comparison.thresholds[choice.label], outcome)
            self._write_results(self.written)

    def _network(self, bounds: tuple[Any, ...]) -> OwnNetwork | None:
        """Returns the user's model for a loss, or None if there is none."""
        if self.plan.own is None:
            return None
        return self.plan.own.network(self.dataset.feature_shape, bounds[0].num_outputs)

    def _train(self, choice: AnyChoice) -> Outcome | RankedOutcome:
        """Trains a loss, and keeps the outcome."""
        self.progress.begin(choice.label, trained=True)
        bounds = self.plan.bound(choice)
        network = self._network(bounds)
        run = functools.partial(
            self.plan.experiment.run,
            self.dataset,
            settings=self.plan.settings,
            on_pass=self.progress.advance,
            **({} if network is None else {"network": network.network}),
        )
        outcome: Outcome | RankedOutcome = grids.train(choice, bounds, run)
        about_loss = {"learns_threshold": np.array(learns_threshold(choice))}
        about_model = {} if network is None else network.about()
        self._keep(choice, outcome, {**about_loss, **about_model})
        return outcome

    def _fit(self, name: str, fit: Fit) -> Outcome | RankedOutcome:
        """Fits a reference, and keeps the outcome."""
        self.progress.say(f"fitting: {name}")
        outcome = fit(self.dataset)
        self._keep(name, outcome, {})
        return outcome

    def _held_by_folder(self, what: AnyChoice | str) -> Outcome | RankedOutcome | None:
        """Returns the outcome of a loss or a reference that is finished in the folder, or None.

        Once this process has trained its share, the outcome is waited for.
        """
        folder, kind = self.folder, self.plan.experiment.outcome
        if folder is None:
            return None

        def load() -> Any:
            return folder.load(what, self.dataset, kind)

        outcome: Outcome | RankedOutcome | None = (
            processes.wait_for(load, folder.path) if self.others_train else load()
        )
        return outcome

    def _keep(
        self,
        what: AnyChoice | str,
        outcome: Outcome | RankedOutcome,
        of_its_own: Mapping[str, Any],
    ) -> None:
        """Writes an outcome to the folder, with what was done to features, and with which model.

        Args:
            what: the loss, or the name of the reference.
            outcome: the outcome.
            of_its_own: what `predict` must know of this one beyond what all have in common.
        """
        if self.folder is not None:
            about = {"model": np.array(self.plan.settings.model), **self.preprocessing.arrays()}
            self.folder.save(what, outcome, self.dataset, {**about, **of_its_own})

    def _write_results(self, folder: Folder) -> None:
        """Writes the metrics of what is finished so far."""
        rows = report.csv_rows(self.comparison)
        folder.write(folder.named(self.identity) | document(self.comparison), rows)

    def _write_end(self, folder: Folder) -> None:
        """Writes what is known only now: the recommended loss, and the report of all of them."""
        label = self.comparison.recommended
        outcome = self.comparison.outcomes[label]
        folder.write_decisions(None, self.comparison.thresholds[label], outcome)
        self.comparison.predictor().save(folder.path / PREDICTOR, force=True)
        folder.write_options()
        folder.write_report(self.comparison)
