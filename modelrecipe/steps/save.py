"""`save`: write the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from modelrecipe import measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.errors import LanguageError
from modelrecipe.fields import Doc
from modelrecipe.step import NOTHING, Bench, Step, Touch


@dataclass(frozen=True, kw_only=True)
class Save(Step):
    """Write the model to a file, whole or not at all.

    The format follows the file's ending: `.keras`, `.h5`/`.hdf5` (only models that the old format can hold),
    `.weights.h5` (numbers without architecture), or `.weights.json` (the same in shards: `model.weights.json` lists
    `model_00000.weights.h5` and its further ones, which appear with it, each with whole layers and at most
    `shard_size` bytes of numbers). A file that stands there already is refused unless `force` is true or `--force`
    is given. Beside the file, a lock says what it was made of.

    Example:
        - save: out/model.keras
    """

    word: ClassVar[str] = "save"
    touches: ClassVar[Touch] = NOTHING

    path: Annotated[str, Doc("the file to write, relative to the recipe")]
    format: Annotated[
        Literal["keras", "h5", "weights_h5", "weights_json"] | None, Doc("when the ending is not to decide")
    ] = None
    force: Annotated[bool, Doc("replace a file that stands there")] = False
    shard_size: Annotated[
        str | int | None, Doc("of `.weights.json`, the most numbers in a shard, as 500MB or 2GiB; without it 5GiB")
    ] = None

    def problems(self) -> Iterator[LanguageError]:
        """A size that is none, or of a file that has no shards."""
        if self.shard_size is None:
            return
        if not measures.amount(str(self.shard_size)):
            said, hint = f"'{self.shard_size}' is no size of a shard", "write it as 2GB, 500MB or 1.5GiB"
            yield LanguageError(said, hint=hint, at=("shard_size",))
        if self.format not in (None, "weights_json") or not self.path.endswith(".weights.json"):
            said, hint = f"'{self.path}' is not written in shards", "save to .weights.json, or leave 'shard_size' out"
            yield LanguageError(said, hint=hint, at=("shard_size",))

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Write the checkpoint; later steps go on from it."""
        size = None if self.shard_size is None else measures.amount(str(self.shard_size))
        return bench.write(checkpoint, self.path, self.format, force=self.force, shard_size=size)
