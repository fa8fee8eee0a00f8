"""Batches for training: the same ones for the same seed and epoch, from any batch on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from modelrecipe.data.feed.augmentation import Augmentation
from modelrecipe.data.feed.opening import open_rows
from modelrecipe.data.feed.rows import Route
from modelrecipe.data.feed.transform import mapped, tensorflow
from modelrecipe.data.selection import random_stream
from modelrecipe.data.summary import DataSummary, class_problems, require_permission, shares, summary_of
from modelrecipe.data.survey import parts_of
from modelrecipe.errors import DataError
from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from modelrecipe.data.feed.rows import Rows
    from modelrecipe.data.spec import DataSpec

__all__ = ["Feed", "Feeds", "open_feed"]


@frozen
class Feed:
    """The batches of one part of the data.

    Args:
        rows: the examples of the source.
        selection: numbers of those that belong to this part.
        batch_size: examples in a batch; the last one of an epoch may have fewer.
        seed: of order and augmentation.
        drop_remainder: leave out a last batch that is not full.
        shuffle: another order in every epoch.
        augmentation: what is done to the inputs; None for nothing.
    """

    rows: Rows
    selection: NDArray[np.int64]
    batch_size: int
    seed: int
    drop_remainder: bool = False
    shuffle: bool = False
    augmentation: Augmentation | None = None

    @property
    def examples(self) -> int:
        """How many examples an epoch has, those of a remainder that is left out included."""
        return len(self.selection)

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        whole, rest = divmod(self.examples, self.batch_size)
        return whole + (1 if rest and not self.drop_remainder else 0)

    @cached_property
    def element_spec(self) -> Any:
        """The `tf.TensorSpec`s of a batch: (x,), (x, y) or (x, y, sample_weight)."""
        return self.dataset(0).element_spec

    def dataset(self, epoch: int, start: int = 0) -> Any:
        """The batches of an epoch.

        Args:
            epoch: counted from 0; together with the seed it decides order and augmentation, and nothing else does.
            start: the first batch that is wanted; those before it are not computed, but for a `tf.data.Dataset`.

        Returns:
            A `tf.data.Dataset` of exactly the batches `start`, `start + 1`, ... of the epoch, read ahead.

        Raises:
            DataError: an epoch has fewer batches.
        """
        if not 0 <= start <= self.batches:
            what = f"an epoch has {self.batches:,} batches, so none can begin at batch {start:,}"
            raise DataError(what, hint="the data, or batch_size, may have changed")
        tf = tensorflow()
        route = Route(
            selection=self.selection,
            shuffling=random_stream(self.seed, "shuffle", epoch) if self.shuffle else None,
            size=self.batch_size,
            start=start,
            count=self.batches,
            is_even=self.drop_remainder,
        )
        data = self.rows.batches(route)
        if self.augmentation is not None:
            seeds = tf.data.Dataset.from_tensor_slices(self.augmentation.seeds(epoch, start, self.batches))
            data = mapped(tf.data.Dataset.zip((data, seeds)), self.augmentation.apply)
        options = tf.data.Options()
        options.deterministic = True
        return data.prefetch(tf.data.AUTOTUNE).with_options(options)


@frozen
class Feeds:
    """What a model is trained on, and what is kept apart.

    Args:
        train: the batches for training.
        validation: those for validation; None for none.
        summary: as `describe` gives it, with what only TensorFlow could tell.
    """

    train: Feed
    validation: Feed | None
    summary: DataSummary


def open_feed(
    spec: DataSpec,
    folder: Path,
    *,
    batch_size: int,
    seed: int,
    split_seed: int | None = None,
    allow_code: bool = False,
    drop_remainder: bool = False,
) -> Feeds:
    """Open the data for training; validation is neither shuffled nor augmented, and keeps its last batch.

    Args:
        spec: what the recipe says.
        folder: what its paths are relative to.
        batch_size: examples in a batch.
        seed: of order and augmentation.
        split_seed: of what is drawn: subsample and split; without it, `seed`.
        allow_code: whether the data may come from a Python function.
        drop_remainder: leave out the last batch of an epoch of training when it is not full.

    Raises:
        RecipeError: something is wrong with the data; `at` leads to it from `data`.
        Problems: several things are.
    """
    require_permission(spec, allow_code=allow_code)
    found, rows = open_rows(spec, folder, spec)
    drawing = seed if split_seed is None else split_seed
    parts = parts_of(found, drawing, *shares(spec))
    if drop_remainder and len(parts.training) < batch_size:
        what = f"{len(parts.training):,} examples fill no batch of {batch_size:,}"
        raise DataError(what, hint="write a smaller batch_size")
    train = Feed(
        rows=rows,
        selection=parts.training,
        batch_size=batch_size,
        seed=seed,
        drop_remainder=drop_remainder,
        shuffle=spec.shuffle,
        augmentation=Augmentation(spec, seed) if any(spec.augmentation()) else None,
    )
    _ = train.element_spec  # layers that do not fit are refused now, not at the first batch
    apart = parts.validation
    source, other = spec.validation_source(), None
    if source is not None:
        other, rows = open_rows(source, folder, spec, ("validation",))
        for problem in class_problems(found, other):
            raise problem
        apart = parts_of(other, drawing, None, None).training
    validation = None if apart is None else Feed(rows=rows, selection=apart, batch_size=batch_size, seed=seed)
    counts = (train.examples, None if validation is None else validation.examples)
    return Feeds(train=train, validation=validation, summary=summary_of(spec, folder, found, other, counts))
