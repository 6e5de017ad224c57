"""The function that is trained: a loss with all that it needs from the training data or the model.

Most losses need only logits and labels. Counts, priors and hierarchies are estimated from the
training labels; a second model output, such as a label count, is an extra head of the model; and a
penalty, which alone does not teach the labels, is added to binary cross-entropy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mllosses_jax.catalogue import Entry
from mllosses_jax.compare.choice import AnyChoice, Choice, Grid, Sum
from mllosses_jax.compare.choosing import parse, try_call
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.heads import HEADS, TEACHERS, THRESHOLD, scores_of
from mllosses_jax.compare.own_loss import own_loss, takes_where
from mllosses_jax.data import Dataset
from mllosses_jax.heads import why_unsupported
from mllosses_jax.losses import sigmoid_binary_cross_entropy
from mllosses_jax.weighting import inverse_propensity

IMPLIED = 0.95  # a label is a parent of another if it has at least this share of the other's rows
FEW_ROWS = 5  # a label with fewer rows implies no other


@dataclass(frozen=True)
class BoundLoss:
    """A loss with all that it needs besides logits and labels.

    Attributes:
        loss: a scalar function of (outputs (B, num_outputs), labels, *parameters, where=...).
        num_outputs: the number of model outputs, of which the first L are the logits.
        given: what the experiment gives the loss besides logits and labels, in a few words, or "".
        takes_where: whether `where` has an effect. If not, rows that must not count are left out.
        parameters: for each term of the loss, the parameters that are arguments and not constants,
            so that one program serves several settings; empty if there are none.
        learns_threshold: whether the output behind the logits is the threshold of the row, which no
            tuned threshold replaces; see `heads.scores_of`.
    """

    loss: Callable[..., Array]
    num_outputs: int
    given: str = ""
    takes_where: bool = True
    parameters: tuple[dict[str, np.float32], ...] = ()
    learns_threshold: bool = False


@dataclass(frozen=True)
class _Term:
    """A loss of a sum with what the data determines.

    Attributes:
        loss: a scalar function of (logits, labels, where, outputs of heads by name, parameters that
            are arguments by name).
        heads: the names of the heads.
        given: what else the experiment gives it, in a few words each.
        is_penalty: whether the function is a term to add to a loss.
        takes_where: as for `BoundLoss`.
    """

    loss: Callable[..., Array]
    heads: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    is_penalty: bool = False
    takes_where: bool = True


@dataclass(frozen=True)
class HeadLoss:
    """A loss for `mllosses_jax.heads` with all its parameters.

    Attributes:
        loss: the loss.
        arguments: its parameters, by name.
        given: which of them the experiment gives, in a few words, or "".
    """

    loss: Callable[..., Any]
    arguments: dict[str, Any]
    given: str = ""


def bind_to_head(choice: Choice | str, dataset: Dataset) -> HeadLoss:
    """Returns a loss that a head can compute, with the parameters that the labels determine.

    Args:
        choice: the loss, or a text for `choosing.parse`. Its own parameters take precedence.
        dataset: the data set.

    Raises:
        ComparisonError: the loss does not accept its parameters on this data.
    """
    [(_, choice)] = (parse(choice) if isinstance(choice, str) else choice).terms
    num_labels = dataset.y_train.shape[1]
    found = from_labels(choice.entry, dataset, but=choice.arguments)
    arguments = found | choice.arguments
    if choice.arguments:
        _check_lengths(choice, num_labels)
        loss = functools.partial(choice.entry.loss, **arguments)
        try_call(choice, loss, num_labels, num_labels)
    return HeadLoss(choice.entry.loss, arguments, ", ".join(found))


def why_not_through_head(choice: AnyChoice) -> str | None:
    """Returns why a head over very many labels cannot train with a loss, or None if it can."""
    if isinstance(choice, Grid):
        return why_not_through_head(choice.settings[0])
    if isinstance(choice, Sum):
        return "is a sum"
    if choice.function is not None:
        return "is no loss of this package"
    if any(parameter in HEADS for parameter in choice.entry.required):
        return "needs another output of the model"
    return "needs another loss" if choice.entry.penalty else why_unsupported(choice.entry.loss)


def bind(
    choice: AnyChoice | str, dataset: Dataset, arguments: Sequence[Container[str]] = ()
) -> BoundLoss:
    """Returns a loss with the parameters that the training part of a data set determines.

    The terms of a sum share heads of one name. Penalties are added to binary cross-entropy, unless
    a sum adds them to another loss.

    Args:
        choice: the loss, or a text for `choosing.parse`. Its own parameters take precedence.
        dataset: the data set.
        arguments: for each term, the names of the parameters that are arguments of the function
            instead of constants, which only losses of the catalogue have; empty for none.

    Raises:
        ComparisonError: the loss does not accept its parameters on this data, or the user's own
            function fails.
    """
    choice = parse(choice) if isinstance(choice, str) else choice
    num_labels = dataset.y_train.shape[1]
    terms = []
    for (_, each), names in zip(choice.terms, arguments or [()] * len(choice.terms), strict=True):
        catalogued = each.function is None
        term = _of_catalogue(each, dataset, names) if catalogued else _own(each, dataset)
        terms.append(term)
        if catalogued and each.parameters and not arguments:
            _check_lengths(each, num_labels)
            alone = _joined(((1.0, term),), num_labels)
            try_call(each, alone.loss, alone.num_outputs, num_labels)
    weights = [weight for weight, _ in choice.terms]
    bound = _joined(tuple(zip(weights, terms, strict=True)), num_labels)
    several = len(terms) > 1
    given = [
        f"{what} of {each.name}" if several else what
        for (_, each), term in zip(choice.terms, terms, strict=True)
        for what in term.given
    ]
    heads = _heads(terms)
    instead = {THRESHOLD: " in place of tuned thresholds"}
    given += [f"a head for {p}{instead.get(p, '')}" for p in heads]
    if all(term.is_penalty for term in terms):
        it_is = "they are" if several else "it is"
        given += [f"binary cross-entropy, which {it_is} added to"]
    given += ["binary cross-entropy of that head"] if TEACHERS & heads.keys() else []
    return replace(bound, given=", ".join(given))


def _of_catalogue(choice: Choice, dataset: Dataset, arguments: Container[str]) -> _Term:
    """Returns a loss of the catalogue as a term, in which some parameters may be arguments."""
    entry, own = choice.entry, choice.arguments
    scaled = {p: v for p, v in FOR_LOGITS.get(entry.name, {}).items() if p not in own}
    found = from_labels(entry, dataset, but=own) | scaled
    constants = found | {p: v for p, v in own.items() if p not in arguments}

    def loss(
        logits: Array,
        labels: Array,
        where: Array | None,
        outputs: dict[str, Array],
        values: dict[str, Array],
    ) -> Array:
        first = jax.nn.sigmoid(logits) if entry.takes == "probabilities" else logits
        result: Array = entry.loss(first, labels, where=where, **constants, **outputs, **values)
        return result

    return _Term(
        loss,
        tuple(p for p in entry.required if p in HEADS),
        tuple(f"{p} = {scaled[p]:g}" if p in scaled else p for p in found),
        entry.penalty,
    )


def _own(choice: Choice, dataset: Dataset) -> _Term:
    """Returns a function of the user's own as a term."""
    function = own_loss(choice, dataset)

    def loss(logits: Array, labels: Array, where: Array | None, *_: dict[str, Array]) -> Array:
        return function(logits, labels, where)

    return _Term(loss, takes_where=takes_where(choice))


def _heads(terms: Iterable[_Term]) -> dict[str, bool]:
    """Returns the heads of terms, in the order of `HEADS`, and which have an output per label."""
    wanted = {name for term in terms for name in term.heads}
    return {name: per_label for name, per_label in HEADS.items() if name in wanted}


def _joined(terms: tuple[tuple[float, _Term], ...], num_labels: int) -> BoundLoss:
    """Returns the weighted sum of terms as a function of all outputs of the model.

    If a term learns a threshold, the others see the scores that are decided by it.
    """
    heads = _heads(term for _, term in terms)
    learns_threshold = THRESHOLD in heads
    columns = {p: num_labels if per_label else 1 for p, per_label in heads.items()}
    penalties_only = all(term.is_penalty for _, term in terms)

    def loss(
        outputs: Array,
        labels: Array,
        *parameters: dict[str, Array],
        where: Array | None = None,
    ) -> Array:
        logits, scores = outputs[:, :num_labels], scores_of(outputs, num_labels, learns_threshold)
        further, start = {}, num_labels
        for parameter, per_label in heads.items():
            output = outputs[:, start : start + columns[parameter]]
            further[parameter] = output if per_label else output[:, 0]
            start += columns[parameter]
        values = []
        for (weight, term), of_term in zip(terms, parameters or [{}] * len(terms), strict=True):
            first = logits if THRESHOLD in term.heads else scores
            of_heads = {p: further[p] for p in term.heads}
            values.append((weight, term.loss(first, labels, where, of_heads, of_term)))
        total = functools.reduce(
            jnp.add, [value if weight == 1 else weight * value for weight, value in values]
        )
        supervised = [further[p] for p in further if p in TEACHERS]
        for each in [logits, *supervised] if penalties_only else supervised:
            total += jnp.asarray(sigmoid_binary_cross_entropy(each, labels, where=where))
        return total

    takes_where = all(term.takes_where for _, term in terms)
    return BoundLoss(
        loss,
        num_labels + sum(columns.values()),
        takes_where=takes_where,
        learns_threshold=learns_threshold,
    )


def _check_lengths(choice: Choice, num_labels: int) -> None:
    for parameter, value in choice.arguments.items():
        if np.ndim(value) == 1 and len(value) != num_labels:
            raise ComparisonError(
                f"{choice.name}: {parameter} has {len(value)} values for {num_labels} labels; give "
                "one per label, in their order"
            )


def from_labels(entry: Entry, dataset: Dataset, *, but: Container[str] = ()) -> dict[str, Any]:
    """Returns the required parameters of a loss that the labels determine, except for `but`."""
    wanted = [p for p in entry.required if p in FROM_LABELS and p not in but]
    return {p: FROM_LABELS[p](dataset) for p in wanted}


def counts(dataset: Dataset, rows: NDArray[np.intp] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns how often each label is positive and how often it is known, both (L,).

    The positives are clipped to at least 1 and at most one less than the known entries. A label
    that is never known counts as one positive among all rows: as rare, not as even.

    Args:
        dataset: the data set.
        rows: the training rows that count; None for all.
    """
    chosen = slice(None) if rows is None else rows
    y, known = dataset.y_train[chosen], dataset.known_train[chosen]
    number = known.sum(0)
    total = np.maximum(np.where(number > 0, number, len(known)), 2)
    return np.clip((y & known).sum(0), 1, total - 1), total


def _prior(dataset: Dataset) -> Array:
    positives, total = counts(dataset)
    return jnp.asarray(positives / total, jnp.float32)


def inverse_propensities(dataset: Dataset) -> Array:
    """Returns one over the propensity of each label, (L,), from the training part."""
    positives, total = counts(dataset)
    return inverse_propensity(jnp.asarray(positives), jnp.asarray(total, jnp.float32))


def _propensity(dataset: Dataset) -> Array:
    return 1 / inverse_propensities(dataset)


def _together(dataset: Dataset) -> np.ndarray:
    """Returns how many rows have both labels of each pair, (L, L)."""
    y = dataset.y_train.astype(np.float64)  # Unknown labels are 0 here.
    return y.T @ y


def ancestors(dataset: Dataset) -> np.ndarray:
    """Returns which labels imply which: [a, b] is True if a is b or practically follows from b.

    A label follows from a rarer one if nearly all rows with the rarer label have it too.
    """
    together = _together(dataset)
    count = np.diag(together)
    share = together / np.maximum(count[None, :], 1)
    implied = (share >= IMPLIED) & (count[None, :] >= FEW_ROWS) & (count[:, None] > count[None, :])
    closure = implied | np.eye(len(count), dtype=bool)
    for _ in range(len(count).bit_length()):  # each square doubles the length of the paths
        closure = (closure.astype(np.float32) @ closure.astype(np.float32)) > 0
    return closure


def _edges(dataset: Dataset) -> Array:
    closure = ancestors(dataset)
    return jnp.asarray(np.argwhere(closure & ~np.eye(len(closure), dtype=bool)), jnp.int32)


def _affinity(dataset: Dataset) -> Array:
    """Returns the Jaccard index of each pair of labels, with 0 on the diagonal."""
    together = _together(dataset)
    count = np.diag(together)
    union = count[:, None] + count[None, :] - together
    affinity = together / np.maximum(union, 1)
    return jnp.asarray(affinity * (1 - np.eye(len(count))), jnp.float32)


# Required parameters that are computed from the labels of the training part.
FROM_LABELS: Mapping[str, Callable[[Dataset], Any]] = {
    "alpha": lambda d: 1 - _prior(d),  # the share of negatives: both sides weigh the same
    "ancestors": lambda d: jnp.asarray(ancestors(d)),
    "affinity": _affinity,
    "edges": _edges,
    "expected_positives": lambda d: jnp.sum(_prior(d)),
    "label_counts": lambda d: jnp.asarray(counts(d)[0], jnp.float32),
    "label_frequencies": _prior,
    "num_samples": lambda d: jnp.asarray(counts(d)[1], jnp.float32),
    "prior": _prior,
    "propensity": _propensity,
    "relative_rate": lambda d: jnp.float32(0.02),
}

# Parameters whose defaults suit scores on another scale than that of logits.
FOR_LOGITS: Mapping[str, Mapping[str, float]] = {"smooth_ap_loss": {"temperature": 0.5}}
