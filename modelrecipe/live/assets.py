"""Vocabularies and other files that belong to layers go from the source's archive to the live layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe.errors import BuildError
from modelrecipe.formats.keras_zip.members import open_members
from modelrecipe.formats.keras_zip.reading import ASSETS
from modelrecipe.live.construct import foreign_code, reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.live.build import Built


_LARGEST = 1 << 28
"""Bytes of a vocabulary."""


def give_assets(built: Built, checkpoint: Checkpoint, scratch: Path) -> None:
    """Let every live layer load the assets that the source keeps for it (keras, `Layer.load_assets`).

    Args:
        built: the live model.
        checkpoint: its document; only `.keras` archives have assets.
        scratch: a folder that does not exist yet; members are unpacked below it.

    Raises:
        BuildError: a layer does not take what the file keeps for it.
        FileError: the file is refused as unsafe, or damaged.
    """
    origin = checkpoint.origin
    if origin is None or not origin.asset_layers:
        return
    with open_members(origin.path) as archive:
        for number, (key, members) in enumerate(origin.asset_layers.items()):
            live = built.layers.get(key)
            if live is None:
                continue
            folder = scratch / str(number)
            for member, below in members.items():
                target = folder / below
                if not target.resolve().is_relative_to(folder.resolve()):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(ASSETS + member, _LARGEST))
            with foreign_code(_refusal(key, live)):
                live.load_assets(str(folder))


def _refusal(key: str, live: Any) -> Callable[[Exception], BuildError]:
    return lambda error: BuildError(
        f"'{live.name}' ({type(live).__name__}) does not load its assets: {reason(error)}", layer=key
    )
