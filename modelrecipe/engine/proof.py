"""After a run: what no step named is bit-identical, and what was named became what it should.

The written file is opened again and compared with the source, tensor by tensor. The record of the steps says what may
differ; the graph that was written says which layer became which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.edit.settings import differing_settings
from modelrecipe.edit.surgery import keys_inside
from modelrecipe.engine.same_architecture import differences
from modelrecipe.errors import ProofError
from modelrecipe.graph import Located, walk
from modelrecipe.outcome import Proof

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.digest import TensorDigests
    from modelrecipe.step import Change
    from modelrecipe.weights import Tensor


def prove(
    source: Checkpoint, edited: Checkpoint, written: Checkpoint, changes: Sequence[Change], digests: TensorDigests
) -> Proof:
    """Compare what was written with the source.

    Args:
        source: the model as it was loaded.
        edited: the document after all steps; its keys say which layer of the source each layer was.
        written: what stands in the new file.
        changes: everything that the steps recorded.
        digests: knows the digests that were computed before.

    Raises:
        ProofError: something differs that no step named, or a named change did not arrive. Names the first ones.
    """
    found: list[str] = []
    named = {(change.key, name) for change in changes for name in change.weights}
    replaced = {change.key for change in changes if change.kind in ("-", "-/+")}
    now = {path: written.weights.of(key) for path, key in _paths(written).items()}
    counts: dict[str, int] = dict.fromkeys(("identical", "changed", "fresh", "removed"), 0)
    proved: set[str] = set()
    for path, key in _paths(edited).items():
        wanted = edited.weights.of(key)
        if key in proved or (not wanted and path not in now):
            continue
        proved.add(key)
        before = {tensor.name: tensor for tensor in source.weights.of(key)}
        for tensor, new in _pairs(path, wanted, now.get(path, ()), digests, found):
            kind, trouble = _judge(key, tensor, new, before.get(tensor.name), named, digests)
            counts[kind] += 1
            found += [f"'{path}/{tensor.name}' {trouble}"] if trouble else []
    kept = set(_paths(edited).values())
    counts["removed"] = sum(
        len({tensor.name for tensor in source.weights.of(key)} - {tensor.name for tensor in edited.weights.of(key)})
        for key in source.weights
    )
    found += _lost_layers(source, kept, replaced)
    found += _changed_flags(source, edited, written, changes)
    found += _changed_settings(source, edited, changes)
    found += differences(edited, written)
    if found:
        raise ProofError(
            f"{len(found)} things differ that no step named: " + "; ".join(found[:3]),
            hint="the written file was removed; please report this with the recipe",
        )
    return Proof(**counts)


def _paths(checkpoint: Checkpoint) -> dict[str, str]:
    if checkpoint.is_opaque:
        return {key: key for key in checkpoint.weights}
    return {item.path: item.layer.key for item in walk(checkpoint.model) if checkpoint.weights.of(item.layer.key)}


def _judge(
    key: str,
    wanted: Tensor,
    written: Tensor,
    before: Tensor | None,
    named: Iterable[tuple[str, str]],
    digests: TensorDigests,
) -> tuple[str, str | None]:
    """Which kind of tensor it is, and what is wrong with it."""
    if wanted.source is None:
        return "fresh", None
    digest = digests.of(written)
    arrived = None if digest == digests.of(wanted) else "is not what the steps make it"
    if before is None or before.source is None or key.startswith("+"):
        return "fresh", arrived
    if (key, wanted.name) in named:
        return "changed", arrived
    return "identical", arrived or (None if digest == digests.of(before) else "changed, but no step names it")


def _pairs(
    path: str, wanted: Sequence[Tensor], written: Sequence[Tensor], digests: TensorDigests, found: list[str]
) -> Iterable[tuple[Tensor, Tensor]]:
    """Each wanted tensor with the written one: by name or place, or by content where another container has neither."""
    if len(wanted) != len(written):
        # Only Keras 3 containers keep the state of random generators.
        wanted = [tensor for tensor in wanted if not tensor.is_random_state]
        written = [tensor for tensor in written if not tensor.is_random_state]
    # Keras may write more than the source held: an activation that is a layer gets its weights when it is called.
    for label in (lambda tensor: tensor.name, lambda tensor: tensor.slot):
        known = {label(tensor): tensor for tensor in written}
        if all(label(tensor) in known for tensor in wanted):
            return [(tensor, known[label(tensor)]) for tensor in wanted]
    by_digest = {digests.of(tensor): tensor for tensor in written}
    if all(tensor.source is not None and digests.of(tensor) in by_digest for tensor in wanted):
        return [(tensor, by_digest[digests.of(tensor)]) for tensor in wanted]
    if len(wanted) != len(written):
        found.append(f"'{path}' has {len(written)} tensors instead of {len(wanted)}")
        return []
    return list(zip(wanted, written, strict=True))


def _lost_layers(source: Checkpoint, kept: set[str], replaced: set[str]) -> list[str]:
    if source.is_opaque:
        return []
    inside = {inner for item in walk(source.model) if item.layer.key in replaced for inner in keys_inside(item.layer)}
    known = kept | replaced | inside
    return [f"'{key}' is gone" for key in source.weights if key not in known]


def _changed_flags(source: Checkpoint, edited: Checkpoint, written: Checkpoint, changes: Sequence[Change]) -> list[str]:
    named = {change.key for change in changes if change.flag or change.kind == "-/+"}
    before, after, now = _flags(source), _flags(edited), _flags_by_path(written)
    found = [
        f"the trainable flag of '{key}' changed, but no step names it"
        for key, flag in after.items()
        if key in before and key not in named and before[key] is not flag
    ]
    for item in _leaves(edited):
        flag = now.get(item.path)
        if flag is not None and flag is not item.is_effectively_trainable:
            found.append(f"the trainable flag of '{item.path}' did not survive saving")
    return found


def _changed_settings(source: Checkpoint, edited: Checkpoint, changes: Sequence[Change]) -> list[str]:
    """The arguments that differ from the source's in layers that were not replaced, and that no step names."""
    named = {(change.key, name) for change in changes for name in change.settings}
    other = {change.key for change in changes if change.kind != "~"}
    before = {} if source.is_opaque else {item.layer.key: item.layer for item in _leaves(source)}
    return [
        f"'{name}' of '{item.path}' changed, but no step names it"
        for item in _leaves(edited)
        if item.layer.key in before and item.layer.key not in other
        for name in differing_settings(before[item.layer.key], item.layer)
        if (item.layer.key, name) not in named
    ]


def _leaves(checkpoint: Checkpoint) -> list[Located]:
    """The layers whose flag means something: inputs and bare operations have none of their own."""
    found = [] if checkpoint.is_opaque else [item for item in walk(checkpoint.model) if item.layer.graph is None]
    return [item for item in found if not item.layer.is_input and not item.layer.is_operation]


def _flags(checkpoint: Checkpoint) -> Mapping[str, bool]:
    return {item.layer.key: item.is_effectively_trainable for item in _leaves(checkpoint)}


def _flags_by_path(checkpoint: Checkpoint) -> Mapping[str, bool]:
    return {item.path: item.is_effectively_trainable for item in _leaves(checkpoint)}
