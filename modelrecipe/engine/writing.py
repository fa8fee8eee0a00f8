"""Lets an output appear: it is written aside, opened again and proved, and only then takes its name."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from modelrecipe import formats
from modelrecipe.engine.digest import ContentDigest, TensorDigests, content_digest
from modelrecipe.engine.proof import prove
from modelrecipe.errors import FileError, LockError, ProofError
from modelrecipe.files import atomic_output
from modelrecipe.formats.hdf5.tensors import ContiguousSource
from modelrecipe.formats.keras_zip.shard_set import shard_set
from modelrecipe.formats.passing import verify
from modelrecipe.frozen import frozen
from modelrecipe.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.formats.passing import Passed
    from modelrecipe.outcome import Output, Proof
    from modelrecipe.step import Change


@frozen
class Demands:
    """What a written file must hold.

    Args:
        source: the model as it was loaded; None where nothing was.
        changes: everything that the steps recorded since then.
        locked: digests of the output's parts, from its lock; None where no lock is asked.
        digests: knows the digests that were computed before.
        reads_back: whether the file itself is asked for those of its tensors, not who wrote them.
    """

    source: Checkpoint | None
    changes: Sequence[Change]
    locked: Mapping[str, str] | None
    digests: TensorDigests
    reads_back: bool = False


def write_proved(
    checkpoint: Checkpoint,
    target: Path,
    output: Output,
    write: Callable[[Path], Mapping[Path, Sequence[Passed]]],
    demands: Demands,
    *,
    may_replace: bool,
) -> tuple[Proof | None, ContentDigest]:
    """Write a file, open it again, and compare it with what it must hold.

    Args:
        checkpoint: what is written.
        target: where the file goes; nothing stands there when a demand is not met.
        output: its name in the recipe and its format.
        write: writes the model to the path that it is given, and says what passed by on the way into which file.
        demands: what the file must hold.
        may_replace: whether a file that stands there gives way.

    Raises:
        ProofError: something differs that no step named.
        LockError: the lock demands other content.
        FileError: the file cannot be written.
    """
    is_spread = output.format == "weights_json"
    with (
        shard_set(target) if is_spread else nullcontext() as files,
        atomic_output(target, may_replace=may_replace) as temporary,
    ):
        passed = write(temporary)
        if output.format in formats.WEIGHTS_ALONE:
            read_back = replace(checkpoint, weights=formats.read_weights(temporary, checkpoint.model))
        else:
            read_back = formats.read_checkpoint(temporary, output.format)
        for file, pieces in passed.items():
            known = _within(file, read_back) if is_spread else read_back
            demands.digests.learn(pieces, None if demands.reads_back else known)
        if demands.reads_back:
            _verify_checksums(read_back)
        proof = None
        if demands.source is not None:
            proof = prove(demands.source, checkpoint, read_back, demands.changes, demands.digests)
        content = content_digest(read_back, demands.digests)
        if demands.locked is not None:
            _refuse_other_content(output.path, content, demands.locked)
        if files is not None:
            files.place(temporary)
    return proof, content


def _within(file: Path, whole: Checkpoint) -> Checkpoint:
    """The tensors that lie in one of several files."""
    tensors = {
        key: tuple(one for one in own if isinstance(one.source, ContiguousSource) and one.source.extent.file == file)
        for key, own in whole.weights.items()
    }
    return replace(whole, weights=Weights(tensors))


def _verify_checksums(written: Checkpoint) -> None:
    """Compare the bytes of the new file with the checksum that its zip has for them.

    Raises:
        ProofError: they have another one.
    """
    sources = [tensor.source for tensors in written.weights.values() for tensor in tensors]
    for extent in {source.extent for source in sources if isinstance(source, ContiguousSource)}:
        try:
            verify(extent)
        except FileError as error:
            raise ProofError(
                f"'{extent.file.name}' does not hold what was written to it",
                hint="its disk or the memory is faulty: write elsewhere",
            ) from error


def _refuse_other_content(shown: str, found: ContentDigest, locked: Mapping[str, str]) -> None:
    for part in ("architecture", "weights"):
        if locked.get(part) != getattr(found, part):
            raise LockError(
                f"the {part} of '{shown}' came out otherwise than the lock says",
                hint="recipe, inputs and versions are the same; was the lock edited?",
            )
