"""Whether data fit a model and its loss, told before training begins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from modelrecipe.errors import DataError, RecipeError, did_you_mean
from modelrecipe.frozen import frozen
from modelrecipe.measures import quoted, shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelrecipe.data.summary import DataSummary, TensorSummary

_ROWS = ("categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence")
_LABELS = "sparse_categorical_crossentropy"
_YES_NO = ("binary_crossentropy", "binary_focal_crossentropy")
_ALIASES = {"kld": "kl_divergence", "kullback_leibler_divergence": "kl_divergence"}


@frozen
class Port:
    """An input or output of a model.

    Args:
        name: as Keras has it.
        shape: with the batch, as (None, 8, 8, 1); None for what nobody knows.
        dtype: type of the numbers.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str = "float32"


def check_against(
    summary: DataSummary,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    losses: str | Mapping[str, str] | None = None,
) -> list[RecipeError]:
    """All ways in which the data do not fit the model; none where only TensorFlow can tell what the data are.

    Args:
        summary: what `describe` found.
        inputs: what the model takes.
        outputs: what it gives.
        losses: names of Keras' losses, of all outputs or by the output's name; None where targets play no part.
    """
    found: list[RecipeError] = []
    for tensors in (summary.tensors, summary.validation_tensors):
        if tensors is None:
            continue
        for item, port in _pairs("x", "input", tensors, inputs, found):
            found += _input_problems(item, port)
        if losses is not None:
            for item, port in _pairs("y", "output", tensors, outputs, found):
                loss = losses if isinstance(losses, str) else losses.get(port.name, "")
                found += _target_problems(item, port, _plain(loss))
    return found


def _plain(loss: str) -> str:
    """The name of a loss as a function has it: `KLDivergence` is `kl_divergence`."""
    spelt = "".join(f"_{char.lower()}" if char.isupper() and number else char for number, char in enumerate(loss))
    name = spelt.lower().replace("k_l_", "kl_")
    return _ALIASES.get(name, name)


def _pairs(
    role: str, noun: str, tensors: Sequence[TensorSummary], ports: Sequence[Port], found: list[RecipeError]
) -> Iterator[tuple[TensorSummary, Port]]:
    """Each tensor with its input or output; what has no partner is a problem."""
    mine = [item for item in tensors if item.role == role]
    named = {port.name: port for port in ports}
    single = len(mine) == 1 and mine[0].name is None
    if single and len(ports) == 1:
        yield mine[0], ports[0]
        return
    if not mine or single:
        hint = f"write {role}: {{{', '.join(f'{name}: ...' for name in named)}}}"
        at = mine[0].at if mine else (role,)
        has = (
            f"the model has {len(ports)} {noun}s, {quoted(list(named))}" if len(ports) > 1 else f"no '{role}' is given"
        )
        found.append(DataError(f"{has}, but one tensor is given" if single else has, hint=hint, at=at))
        return
    for item in mine:
        if item.name in named:
            yield item, named[str(item.name)]
        else:
            hint = did_you_mean(str(item.name), named) or f"{noun}s: {', '.join(named)}"
            found.append(DataError(f"the model has no {noun} '{item.name}'", hint=hint, at=item.at))
    missing = [name for name in named if name not in {item.name for item in mine}]
    if missing and role == "x":
        found.append(DataError(f"nothing feeds the input {quoted(missing)}", hint="name a tensor for it", at=(role,)))


def _input_problems(item: TensorSummary, port: Port) -> Iterator[RecipeError]:
    if port.shape is not None and not _agree(item.shape, port.shape):
        gives = f"{item.key} gives {shape(item.shape)}, but input '{port.name}' expects {shape(port.shape)}"
        yield DataError(gives, hint=_recolouring(item, port.shape) or _reshaping(item.shape, port.shape), at=item.at)
    is_text = item.dtype == "string"
    if is_text != (port.dtype == "string"):
        holds = "holds texts" if is_text else f"holds {item.dtype}"
        yield DataError(f"{item.key} {holds}, but input '{port.name}' expects {port.dtype}", at=item.at)
    elif _is_whole(port.dtype) and not _is_whole(item.dtype):
        what = f"{item.key} gives {item.dtype}, but input '{port.name}' expects {port.dtype}"
        yield DataError(what, hint=f"write dtype: {port.dtype}", at=item.at)


def _agree(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    return len(one) == len(other) and all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _reshaping(given: Sequence[int | None], expected: Sequence[int | None]) -> str | None:
    sizes, wanted = [size or 0 for size in given[1:]], [size or 0 for size in expected[1:]]
    if None not in expected[1:] and math.prod(sizes) == math.prod(wanted):
        return f"write shape: [{', '.join(map(str, wanted))}]"
    is_image = len(sizes) == len(wanted) == 3 and None not in expected[1:] and sizes[2] == wanted[2]
    return f"write resize: [{wanted[0]}, {wanted[1]}]" if is_image else None


def _recolouring(item: TensorSummary, expected: Sequence[int | None]) -> str | None:
    """How grey images become those of three channels."""
    sizes = [size for size in item.shape[1:] if size != 1]
    if len(expected) != 4 or expected[-1] != 3 or len(sizes) != 2 or "'," in item.key:
        return None
    key = item.key.strip("'")
    resize = (
        f", resize: [{expected[1]}, {expected[2]}]" if sizes != list(expected[1:3]) and None not in expected[1:] else ""
    )
    return f"write key: [{key}, {key}, {key}]{resize} for three channels"


def _is_whole(dtype: str) -> bool:
    return dtype.startswith(("int", "uint", "bool"))


def _target_problems(item: TensorSummary, port: Port, loss: str) -> Iterator[RecipeError]:
    if item.dtype == "string":
        yield DataError(f"{item.key} holds texts", hint="number them: classes: [...]", at=item.at)
    elif port.shape is None:
        return
    elif loss == _LABELS:
        yield from _label_problems(item, port)
    elif not are_alike(item.shape, port.shape):
        yield _unlike(item, port, loss)
    elif item.values is not None and (loss in _ROWS or loss in _YES_NO):
        yield from _share_problems(item, loss)


def are_alike(given: Sequence[int | None], expected: Sequence[int | None]) -> bool:
    """Whether a loss makes two shapes equal: Keras adds or drops a last size of 1; all else would be broadcast."""
    pairs = ((given, expected), ((*given, 1), expected), (given, (*expected, 1)))
    return any(_agree(one, other) for one, other in pairs)


def _label_problems(item: TensorSummary, port: Port) -> Iterator[RecipeError]:
    expected = (port.shape or ())[:-1]
    units = (port.shape or (None,))[-1]
    if not _agree(item.shape, expected) and not _agree(item.shape, (*expected, 1)):
        is_rows = item.values is not None and item.values.is_share
        hint = "rows of shares take the loss categorical_crossentropy" if is_rows else None
        what = f"{item.key} gives {shape(item.shape)}, but labels for output '{port.name}' are {shape(expected)}"
        yield DataError(what, hint=hint, at=item.at)
        return
    values = item.values
    if values is not None and not values.is_whole:
        yield DataError(
            f"{item.key} holds fractions, which are no labels", hint="remove 'scale', or take another loss", at=item.at
        )
    elif values is not None and units is not None and values.highest >= units:
        what = f"{item.key} reaches {values.highest:g}, but '{port.name}' has {units} outputs"
        yield DataError(what, hint=f"labels go from 0 to {units - 1}; 'classes' chooses and numbers them", at=item.at)
    elif values is not None and values.lowest < 0:
        what = f"{item.key} goes down to {values.lowest:g}, but labels begin at 0"
        yield DataError(what, hint="number them by 'classes'", at=item.at)


def _unlike(item: TensorSummary, port: Port, loss: str) -> RecipeError:
    hint = None
    units = (port.shape or (None,))[-1]
    if loss in _ROWS and _is_whole(item.dtype) and _agree(item.shape, (port.shape or ())[:-1]):
        hint = f"write one_hot: {units}, or take the loss {_LABELS}"
    elif port.shape is not None:
        hint = _reshaping(item.shape, port.shape)
    what = f"{item.key} gives {shape(item.shape)}, but output '{port.name}' is {shape(port.shape)}"
    return DataError(what, hint=hint, at=item.at)


def _share_problems(item: TensorSummary, loss: str) -> Iterator[RecipeError]:
    values = item.values
    if values is None:
        return
    if values.lowest < 0 or values.highest > 1:
        what = f"{item.key} lies between {values.lowest:g} and {values.highest:g}, but {loss} takes 0 to 1"
        yield DataError(what, hint="scale the targets, or take another loss", at=item.at)
    elif loss in _ROWS and values.is_share is False:
        what = f"the rows of {item.key} do not add up to 1, as {loss} takes them"
        yield DataError(what, hint="take binary_crossentropy where several may be true", at=item.at)
