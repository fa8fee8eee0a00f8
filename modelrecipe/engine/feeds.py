"""The data of a step, opened: the same division into parts for every step of a recipe, in an order of its own.

What is kept apart for validation depends on the recipe's seed and on the data alone, not on the step: nothing that one
step validates on is trained on by another one.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from blake3 import blake3

from modelrecipe import data
from modelrecipe.errors import LanguageError, Problems, RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelrecipe.data import DataSpec, DataSummary
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.training.examples import Part

_WORDS = {"train": "for training", "validation": "kept for validation"}


def open_feeds(
    bench: WorkBench, spec: DataSpec, *, batch_size: int, drop_remainder: bool = False, seed: int | None = None
) -> data.Feeds:
    """Open the data of the running step.

    Args:
        bench: of the recipe.
        spec: the data.
        batch_size: examples in a batch.
        drop_remainder: leave out the last batch of training data when it is smaller.
        seed: of order and augmentation; without it one of the step's own.

    Raises:
        RecipeError: something is wrong with them; `at` begins with `data`.
    """
    with below("data"):
        return data.open_feed(
            spec,
            bench.folder,
            batch_size=batch_size,
            seed=(bench.seed_for("data") if seed is None else seed) % 2**32,
            split_seed=split_seed(bench.seed),
            allow_code=bench.executes_graphs,
            drop_remainder=drop_remainder,
        )


def split_seed(seed: int) -> int:
    """The seed of what is drawn, for a recipe's seed."""
    return int.from_bytes(blake3(json.dumps(["split", seed]).encode()).digest()[:4])


@contextmanager
def below(*at: str | int) -> Iterator[None]:
    """Say of errors of the block that what is wrong stands below these keys."""
    try:
        yield
    except RecipeError as error:
        for problem in error.problems if isinstance(error, Problems) else (error,):
            problem.at = (*at, *problem.at)
        raise


def refuse_own(bench: WorkBench, summary: DataSummary) -> None:
    """Refuse data that the recipe itself writes: a plan could not know what they will be.

    Raises:
        LanguageError: an earlier step writes them.
    """
    for name, (_, files) in summary.roots.items():
        if any(file.resolve() in bench.claimed for file in files):
            raise LanguageError(
                f"'{name}' is written by an earlier step, so this recipe cannot read it as data",
                hint="read it in a recipe of its own",
            )


def shown(feeds: data.Feeds, part: Part | None) -> data.Feed:
    """The examples of a part as a model is only shown them: in the order of their source, without augmentation."""
    import numpy as np

    feed = feeds.validation if part == "validation" and feeds.validation is not None else feeds.train
    if part == "all" and feeds.validation is not None:
        feed = replace(feed, selection=np.sort(np.concatenate([feed.selection, feeds.validation.selection])))
    return replace(feed, shuffle=False, augmentation=None)


def counted(summary: DataSummary, part: Part | None) -> int | None:
    """How many examples a part has; None where only TensorFlow can tell."""
    if part == "validation":
        return summary.validation_examples
    if summary.examples is None or part != "all":
        return summary.examples
    return summary.examples + (summary.validation_examples or 0)


def in_words(count: int | None, part: Part | None) -> str:
    """Examples in words: `359 examples kept for validation`."""
    number = "examples" if count is None else f"{count:,} example{'' if count == 1 else 's'}"
    return " ".join([number, *([_WORDS[part]] if part in _WORDS else [])])
