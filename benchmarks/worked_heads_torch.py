"""The linear head of `worked_heads` as PyTorch users write it; imported only if torch is there."""

import os
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("KMP_BLOCKTIME", "0")  # idle threads would slow the calls that follow
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch

Array = np.ndarray[Any, Any]


def train(
    x: Array,
    y: Array,
    x_test: Array,
    batches: Sequence[Array],
    learning_rate: float,
    momentum: float,
    first_bias: float,
    k: int,
) -> tuple[list[float], Array]:
    """Returns the loss of each step, and the k labels with the highest logits for each test row.

    Args:
        x: features (N, D).
        y: labels (N, L).
        x_test: features (M, D).
        batches: the rows of the batch of each step.
        learning_rate: that of the first step, from which it falls linearly to 0.
        momentum: that of SGD.
        first_bias: what all biases start at; weights start at 0.
        k: how many labels are predicted.
    """
    inputs, labels, test_inputs = (
        torch.tensor(array, dtype=torch.float32) for array in (x, y, x_test)
    )
    model = torch.nn.Linear(x.shape[1], y.shape[1])
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.constant_(model.bias, first_bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=len(batches))
    entropy = torch.nn.BCEWithLogitsLoss(reduction="sum")
    losses = []
    for rows in batches:
        optimizer.zero_grad()
        loss = entropy(model(inputs[rows]), labels[rows]) / len(rows)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    with torch.no_grad():
        ids: Array = model(test_inputs).topk(k).indices.numpy()
    return losses, ids
