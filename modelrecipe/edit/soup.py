"""A greedy soup: models of one architecture are taken into a mean one after the other, as long as it does not suffer.

Wortsman et al., 2022, "Model soups" (arXiv:2203.05482), recipe 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from modelrecipe.edit.blend import averaged
from modelrecipe.errors import EditError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.edit.counterparts import Other
    from modelrecipe.edit.values import Place


@frozen
class Tasted:
    """One model, and what became of it.

    Args:
        number: 0 for the current model, then those of `with` in order.
        alone: its own score.
        together: the score of the soup with it; of the first that is its own.
        is_kept: whether it went in.
    """

    number: int
    alone: float
    together: float
    is_kept: bool


def greedy_soup(
    checkpoint: Checkpoint,
    places: Sequence[Place],
    others: Sequence[Other],
    score: Callable[[Checkpoint], float],
    *,
    is_more_better: bool,
    is_whole: bool = False,
) -> tuple[Checkpoint, list[Tasted]]:
    """The mean of a checkpoint and others at `places`, of those alone that do not make it worse.

    The best model goes first; each further one, the better ones before, stays in when the score of the mean is not
    worse for it. Of equal ones the earlier goes first.

    Args:
        checkpoint: a model.
        places: its variables that are averaged.
        others: further models.
        score: how good a model is.
        is_more_better: whether a higher score is.
        is_whole: whether the others may hold no weights that `checkpoint` has not.

    Returns:
        The soup, and every model in the order in which it was tried.

    Raises:
        EditError: no model has a score that is a number; or as `averaged`.
    """
    count = 1 + len(others)
    sign = 1 if is_more_better else -1

    def soup_of(numbers: Sequence[int]) -> Checkpoint:
        shares = [float(number in numbers) for number in range(count)]
        return averaged(checkpoint, places, others, shares, is_whole=is_whole)

    alone = [score(soup_of([number])) for number in range(count)]
    if all(math.isnan(value) for value in alone):
        raise EditError("no model has a score that is a number", hint="look at the data and the models")
    order = sorted(range(count), key=lambda number: (math.isnan(alone[number]), -sign * alone[number]))
    kept, best = [order[0]], alone[order[0]]
    tasted = [Tasted(number=order[0], alone=best, together=best, is_kept=True)]
    for number in order[1:]:
        together = score(soup_of([*kept, number]))
        is_kept = sign * (together - best) >= 0
        tasted.append(Tasted(number=number, alone=alone[number], together=together, is_kept=is_kept))
        if is_kept:
            kept, best = [*kept, number], together
    return soup_of(kept), tasted
