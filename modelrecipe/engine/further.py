"""Where the further checkpoints of a step come from: put aside under a name, or files that it names itself."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from modelrecipe.errors import LanguageError, RecipeError, did_you_mean
from modelrecipe.formats.passing import verify
from modelrecipe.formats.same_layout import extents_of

if TYPE_CHECKING:
    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.bench import WorkBench


def further(bench: WorkBench, name: str, at: tuple[str | int, ...]) -> Checkpoint:
    """The checkpoint that was put aside under a name, else the model file at that path, which is noted as an input.

    Its numbers do not pass by as those of the current model do, so their checksum is compared first.

    Raises:
        LanguageError: it is neither a name nor a path.
        FileError: the file cannot be read, or is damaged.
    """
    found = bench.kept.get(name)
    if found is None:
        is_word = PurePath(name).name == name and not PurePath(name).suffix and not (bench.folder / name).exists()
        if is_word:
            put_aside = f"put one aside with '- load: {{path: ..., as: {name}}}', or write a path"
            raise LanguageError(
                f"there is no model named '{name}'", hint=did_you_mean(name, bench.kept) or put_aside, at=at
            )
    try:
        found = bench.open(name, aside=True) if found is None else found
        for extent in set() if bench.is_dry else extents_of(found) - bench.verified:
            verify(extent)
            bench.verified.add(extent)
    except RecipeError as error:
        error.at = at
        raise
    return found
