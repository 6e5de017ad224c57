"""Losses as PyTorch users write them, eager and compiled; imported only if torch is installed."""

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KMP_BLOCKTIME", "0")  # idle threads would slow the calls that follow
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from torch.nn import functional


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


def _softmax(x: Any, y: Any) -> Any:
    return functional.cross_entropy(x, y / y.sum(1, keepdim=True).clamp(min=1))


def _zlpr(x: Any, y: Any) -> Any:
    zeros = torch.zeros_like(x[:, :1])
    positives = torch.cat([torch.where(y > 0, -x, -torch.inf), zeros], dim=1)
    negatives = torch.cat([torch.where(y > 0, -torch.inf, x), zeros], dim=1)
    return (torch.logsumexp(positives, 1) + torch.logsumexp(negatives, 1)).mean()


def _soft_f1(x: Any, y: Any) -> Any:
    p = torch.sigmoid(x)
    return (1 - 2 * (p * y).sum(0) / (p.sum(0) + y.sum(0) + 1e-7)).mean()


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "sigmoid_binary_cross_entropy": functional.binary_cross_entropy_with_logits,
    "binary_cross_entropy": functional.binary_cross_entropy,
    "multilabel_soft_margin_loss": functional.multilabel_soft_margin_loss,
    "sigmoid_focal_loss": _focal,
    "asymmetric_loss": _asymmetric,
    "softmax_cross_entropy": _softmax,
    "zlpr_loss": _zlpr,
    "soft_f1_loss": _soft_f1,
    "multilabel_margin_loss": functional.multilabel_margin_loss,
}


def device() -> str:
    """Returns "cuda" if PyTorch knows a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def calls(name: str, logits: np.ndarray, labels: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Returns calls that compute value and gradient of a loss, eager and compiled."""
    if name not in LOSSES:
        return {}
    x = torch.from_numpy(logits.copy()).to(device()).requires_grad_()
    indices = name == "multilabel_margin_loss"
    y = torch.from_numpy(_indices(labels) if indices else labels.astype(np.float32)).to(device())

    def step(loss: Callable[..., Any]) -> Callable[[], None]:
        def call() -> None:
            x.grad = None
            loss(x, y).backward()
            if x.is_cuda:
                torch.cuda.synchronize()

        return call

    loss = LOSSES[name]
    return {"torch": step(loss), "torch.compile": step(torch.compile(loss))}


def _indices(labels: np.ndarray) -> np.ndarray:
    """Returns the indices of the positives of each row, then -1."""
    order = np.argsort(~labels, axis=1, kind="stable")
    return np.where(np.take_along_axis(labels, order, 1), order, -1)


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
