"""Parameters of losses that are outputs of the model besides the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from jax import Array
from numpy.typing import NDArray

THRESHOLD = "threshold_logits"  # the learned threshold of each sample
# True if a head has an output per label, False if it has one per sample. The threshold comes first.
HEADS: Mapping[str, bool] = {
    THRESHOLD: False,
    "count_logits": False,
    "estimated_logits": True,
    "teacher_logits": True,
}
TEACHERS = {"teacher_logits"}  # heads that learn from the labels on their own

_Outputs = TypeVar("_Outputs", Array, NDArray[np.float32])


def scores_of(outputs: _Outputs, num_labels: int, learns_threshold: bool) -> _Outputs:
    """Returns the scores (N, L) of a model with the given outputs (N, K).

    The first L outputs are the logits. A learned threshold is the next; scores are the logits minus
    it, so that 0 decides for every row.
    """
    logits = outputs[:, :num_labels]
    return logits - outputs[:, num_labels : num_labels + 1] if learns_threshold else logits
