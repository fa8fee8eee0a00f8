"""Whether more of a measure is better than less, as far as its name tells."""

from __future__ import annotations

import re
from typing import Literal

Mode = Literal["auto", "min", "max"]

_MORE_IS_BETTER = (
    "acc",
    "accuracy",
    "auc",
    "cosine_similarity",
    "f1_score",
    "fbeta_score",
    "io_u",
    "iou",
    "pearson_correlation",
    "precision",
    "r2_score",
    "recall",
)


def is_more_better(name: str, mode: Mode = "auto") -> bool:
    """Whether a larger value is the better one; of `auto`, by the name, whose number (`auc_1`) does not matter."""
    plain = re.sub(r"_\d+$", "", name)
    return mode == "max" or (mode == "auto" and plain.endswith(_MORE_IS_BETTER))
