"""Parameters of losses that are outputs of the model beside the logits."""

from __future__ import annotations

from collections.abc import Mapping

# Whether a head has an output per label, or one for the sample.
HEADS: Mapping[str, bool] = {
    "count_logits": False,
    "estimated_logits": True,
    "teacher_logits": True,
}
TEACHERS = {"teacher_logits"}  # heads that learn from the labels by themselves
