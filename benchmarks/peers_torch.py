"""Losses as PyTorch users write them, eager and compiled; imported only if torch is installed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

Key = tuple[str, str, str]


def _binary(x: Any, y: Any) -> Any:
    return functional.binary_cross_entropy_with_logits(x, y)


def _focal(x: Any, y: Any) -> Any:
    p = torch.sigmoid(x)
    entropy = functional.binary_cross_entropy_with_logits(x, y, reduction="none")
    p_t = p * y + (1 - p) * (1 - y)
    return (entropy * (1 - p_t) ** 2).mean()


def _asymmetric(x: Any, y: Any) -> Any:
    p = torch.sigmoid(x)
    rest = (1 - p + 0.05).clamp(max=1)
    entropy = y * torch.log(p.clamp(min=1e-8)) + (1 - y) * torch.log(rest.clamp(min=1e-8))
    with torch.no_grad():
        p_t = p * y + rest * (1 - y)
        weight = (1 - p_t) ** (1 * y + 4 * (1 - y))
    return -(entropy * weight).mean()


LOSSES = {
    "binary cross-entropy": _binary,
    "focal, gamma 2": _focal,
    "asymmetric": _asymmetric,
}


def calls(logits: np.ndarray, labels: np.ndarray) -> dict[Key, Callable[[], Any]]:
    """Returns calls that compute value and gradient, with the keys of `benchmarks.losses`."""
    x = torch.from_numpy(logits.copy()).requires_grad_()
    y = torch.from_numpy(labels.astype(np.float32))

    def step(loss: Callable[..., Any]) -> Callable[[], None]:
        def call() -> None:
            x.grad = None
            loss(x, y).backward()

        return call

    result: dict[Key, Callable[[], Any]] = {}
    for name, loss in LOSSES.items():
        result[name, "bool", "torch"] = step(loss)
        result[name, "bool", "torch.compile"] = step(torch.compile(loss))
    return result


def multilabel_margin(logits: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    """Returns a call that computes value and gradient of the multi-label margin loss."""
    x = torch.from_numpy(logits.copy()).requires_grad_()
    order = np.argsort(~labels, axis=1, kind="stable")  # indices of positives, then -1
    targets = torch.from_numpy(np.where(np.take_along_axis(labels, order, 1), order, -1))

    def call() -> None:
        x.grad = None
        functional.multilabel_margin_loss(x, targets).backward()

    return call


def derivatives(
    name: str, logits: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a loss and its first two derivatives at each logit."""
    rows = []
    for logit, label in zip(logits, labels, strict=True):
        x, y = torch.tensor([logit], requires_grad=True), torch.tensor([float(label)])
        value = LOSSES[name](x, y)
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, x)
        rows.append([value.item(), slope.item(), curvature.item()])
    value, slope, curvature = np.array(rows).T
    return value, slope, curvature
