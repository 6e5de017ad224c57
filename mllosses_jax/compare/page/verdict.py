"""The first tab: which loss to take, how sure that is, and what to do next."""

from __future__ import annotations

import math
import operator
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from mllosses_jax._core.text import with_commas
from mllosses_jax.compare import notes, own_code
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.leaderboard import decimal, interval
from mllosses_jax.compare.page.elements import code, tag, text

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

APPLY = (
    "",
    "# logits (N, L) of your own model, and its label_names in the order of the columns",
    'report = mll.decisions.ThresholdReport.load("thresholds.json")',
    "thresholds = report.thresholds_for(label_names)",
    "label_sets = mll.decisions.apply_thresholds(logits, thresholds)",
    'calibrator = mll.calibration.load("calibrator.json", label_names)',
    "probabilities = calibrator(logits)",
)
EVALUATE = "mllosses evaluate winner/predictions.npz --thresholds winner/thresholds.json"


def content(comparison: Comparison) -> str:
    """Returns the tab."""
    taken = comparison.recommended
    if not comparison.outcomes[taken].quality > 0:
        return tag("p", text(notes.verdict(comparison)), class_="lead")
    verb = "keep" if taken == comparison.baseline else "take"
    reason = notes.reason(comparison).removeprefix(f"{verb} {taken}").lstrip(":. ")
    title = tag("h2", f"{verb.capitalize()} {_name(taken)}")
    if not reason.startswith(tuple(comparison.results)):
        reason = reason[0].upper() + reason[1:]
    sentences = f"{reason}. {_next_best(comparison)}"
    lead = tag("p", text(sentences), class_="lead")
    return (
        title
        + lead
        + _figures(comparison)
        + tag("h3", "What to do next")
        + tag("ol", "".join(tag("li", step) for step in _steps(comparison)))
        + tag("h3", "Do it again")
        + code("Shell", shell(comparison))
        + code("Python", python(comparison))
    )


def _name(label: str) -> str:
    return tag("code", text(label).replace("_", "_<wbr>"))


def _next_best(comparison: Comparison) -> str:
    """Returns how far the best loss but the baseline is from it, if the reason does not say so."""
    others = [label for label in comparison.results if label != comparison.baseline]
    if not others or comparison.best != comparison.baseline:
        return ""
    other = max(others, key=lambda label: comparison.outcomes[label].quality)
    metric = comparison.experiment.leading
    difference = comparison.differences[other][metric]
    if math.isnan(difference.low):
        return ""
    return (
        f"The next best is {other}, which differs by {decimal(difference.mean, signed=True)} "
        f"{comparison.metrics[metric].heading} on test rows "
        f"({interval(difference.low, difference.high, signed=True)})."
    )


def _figures(comparison: Comparison) -> str:
    """Returns the figures of the recommended loss that matter most, each with its interval."""
    taken, metrics = comparison.recommended, comparison.metrics
    shown = (comparison.experiment.leading, "macro_f1_tuned", "micro_f1_tuned")
    parts = []
    for metric in shown:
        found = comparison.results[taken].get(metric)
        if found is None:
            continue
        low, high = float(found["low"]), float(found["high"])
        value = tag("dd", tag("b", text(decimal(found["mean"]))) + " " + text(interval(low, high)))
        parts.append(
            tag("div", tag("dt", text(metrics[metric].heading.replace("\n", " "))) + value)
        )
    note = tag("p", "On test rows, with 95% intervals.", class_="note")
    return tag("dl", "".join(parts), class_="figures") + note


def _steps(comparison: Comparison) -> list[str]:
    """Returns what to do with the recommended loss, as HTML."""
    taken = comparison.recommended
    scored = comparison.settings.model == "scores"
    steps = [f"Use {_name(taken)}." if scored else f"Train your own model with {_name(taken)}."]
    both = comparison.thresholds[taken]
    report, average = (both.common, "micro") if both.by_label is None else (both.by_label, "macro")
    gain = report.micro if both.by_label is None else report.macro
    file = "global_threshold.json" if both.by_label is None else "thresholds.json"
    change = (
        f"bring {average}-F1 from {decimal(gain.baseline)} to {decimal(gain.tuned)} on test rows "
        f"({interval(gain.low, gain.high, signed=True)})"
    )
    if gain.low > 0:
        steps.append(f"Use {tag('code', file)}: its thresholds {text(change)}.")
    elif not math.isnan(gain.low):
        steps.append(
            f"Be careful with {tag('code', file)}: its thresholds {text(change)}, a gain that does "
            "not hold out. A threshold of 0.5 may do as well."
        )
    if "calibration_error_platt" in comparison.results[taken]:
        steps.append(_calibration(comparison))
    issues = sum(finding.kind == "issue" for finding in comparison.checks)
    if issues:
        link = tag("a", f"{issues} issue{'s' * (issues > 1)}", href="#checks")
        steps.append(f"Before you trust these figures, read the {link} that the checks found.")
    return steps


def _calibration(comparison: Comparison) -> str:
    """Returns whether probabilities need the calibrator, as HTML."""
    taken = comparison.recommended
    results, file = comparison.results[taken], tag("code", "calibrator.json")
    after = results["calibration_error_platt"]
    reached = f"{decimal(after['mean'])} ({interval(after['low'], after['high'])})"
    if not comparison.is_comparable(taken, "calibration_error"):
        return f"For probabilities, apply {file}: its calibration error is {text(reached)}."
    before = results["calibration_error"]
    if after["mean"] < before["low"]:
        change = f"the calibration error goes from {decimal(before['mean'])} to {reached}"
        return f"For probabilities, apply {file}: {text(change)}."
    known = f"{decimal(before['mean'])} ({interval(before['low'], before['high'])})"
    return (
        f"Probabilities need no calibrator: the calibration error of sigmoid(logit) is "
        f"{text(known)}, and {file} brings {text(decimal(after['mean']))}."
    )


def shell(comparison: Comparison) -> str:
    """Returns the commands that train the recommended loss again and evaluate its label sets."""
    choice = comparison.choices[comparison.recommended]
    if comparison.settings.model == "scores":
        folder = shlex.quote(_shown(comparison.source.get("scores", "SCORES")))
        return f"mllosses compare --scores {folder} --out winner\n{EVALUATE}"
    for name, is_text in ((choice.label, _is_text(choice.label)), _named_model(comparison)):
        if not is_text:
            return f"# {name} is yours, and no module holds it: see the lines of Python"
    data = _data(comparison)
    lines = [f"# DATA is the file of {comparison.dataset.name!r}"] if data == "DATA" else []
    model, seeds = shlex.quote(_named_model(comparison)[0]), comparison.settings.num_seeds
    groups = ""
    if comparison.dataset.groups_train is not None:
        column = comparison.source.get("groups")
        if column is None:
            lines.append("# COLUMN is the column of the groups")
        groups = f" --groups {shlex.quote(column or 'COLUMN')}"
    columns = "".join(
        f" --{name} {shlex.quote(str(value) if isinstance(value, int) else with_commas(value))}"
        for name, value in _columns(comparison).items()
    )
    validation = comparison.source.get("validation")
    chosen_on = "" if validation is None else f" --validation {shlex.quote(_shown(validation))}"
    lines.append(
        f"mllosses compare {shlex.quote(data)}{columns}{groups}{chosen_on} "
        f"--losses {shlex.quote(choice.label)} --model {model} --seeds {seeds} --out winner"
    )
    if comparison.thresholds[choice.label].by_label is not None:
        lines.append(EVALUATE)
    return "\n".join(lines)


def python(comparison: Comparison) -> str:
    """Returns the Python that trains the recommended loss again and uses what was tuned."""
    settings, label = comparison.settings, comparison.recommended
    if settings.model == "scores":
        return "\n".join(["import mllosses_jax as mll", *APPLY])
    model, is_text = _named_model(comparison)
    lines = [
        "from mllosses_jax.compare import compare",
        "",
        "comparison = compare(",
        f"    {_quoted(_data(comparison))},",
        *(f"    {name}={value!r}," for name, value in _columns(comparison).items()),
        *_parts(comparison),
        f"    losses=[{_quoted(label)}],"
        if _is_text(label)
        else f"    losses={{{_quoted(label)}: FUNCTION}},  # which is yours",
        f"    model={_quoted(model)}," if is_text else "    model=MODEL,  # which is yours",
        f"    num_seeds={settings.num_seeds},",
        ")",
        "print(comparison)",
    ]
    if comparison.thresholds[label].by_label is not None:
        lines = [
            "import mllosses_jax as mll",
            *lines,
            *APPLY,
        ]
    return "\n".join(lines)


def _data(comparison: Comparison) -> str:
    """Returns the file of the data set as seen from the current folder, or what stands for it."""
    data = comparison.source.get("data")
    if data is None:
        return "mosaics" if comparison.dataset.name == "mosaics" else "DATA"
    return _shown(data)


def _shown(file: str) -> str:
    """Returns a path as seen from the current folder, if it lies below."""
    path = Path(file)
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd())) if inside else file


def _parts(comparison: Comparison) -> list[str]:
    """Returns the arguments of Python that say how the rows are parted, one line each."""
    dataset, source, lines = comparison.dataset, comparison.source, []
    if dataset.groups_train is not None:
        column = source.get("groups")
        groups = "groups,  # as before" if column is None else f"{_quoted(column)},"
        lines.append(f"    groups={groups}")
    if "validation" in source:
        lines.append(f"    validation={_quoted(_shown(source['validation']))},")
    elif dataset.y_validation is not None and "data" not in source:
        lines.append("    validation=validation,  # as before")
    return lines


def _columns(comparison: Comparison) -> dict[str, Any]:
    """Returns which columns were said to be labels, and which to be left out."""
    said = {name: comparison.source.get(name) for name in ("labels", "drop")}
    return {
        name: operator.index(value) if isinstance(value, SupportsIndex) else list(value)
        for name, value in said.items()
        if value is not None
    }


def _quoted(value: str) -> str:
    return repr(value) if '"' in value or repr(value) != f"'{value}'" else f'"{value}"'


def _is_text(loss: str) -> bool:
    """Returns whether the name of a loss is enough to find it, unlike that of a local function."""
    try:
        parse(loss)
    except ComparisonError:
        return False
    return True


def _named_model(comparison: Comparison) -> tuple[str, bool]:
    """Returns the name of the model, and whether it is enough to find it."""
    settings = comparison.settings
    if settings.model == "own":
        name = settings.own_model or "MODEL"
        return name, own_code.PATH.fullmatch(name) is not None
    return ("mlp" if settings.model == "mlp" else "linear"), True
