"""Parameters of losses that are outputs of the model besides the logits."""

from __future__ import annotations

from collections.abc import Mapping

# True if a head has an output per label, False if it has one per sample.
HEADS: Mapping[str, bool] = {
    "count_logits": False,
    "estimated_logits": True,
    "teacher_logits": True,
}
TEACHERS = {"teacher_logits"}  # heads that learn from the labels on their own
