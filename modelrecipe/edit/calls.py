"""What a single call of a layer takes, and how it is put into the form that another class takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelrecipe import catalog
from modelrecipe.errors import EditError
from modelrecipe.references import iter_refs, map_refs

if TYPE_CHECKING:
    from modelrecipe.graph import Call, Layer
    from modelrecipe.references import TensorRef


def single_input(layer: Layer, number: int) -> TensorRef:
    """The one tensor that a call takes, by position or by keyword, masks and the like aside.

    Raises:
        EditError: it takes several.
    """
    refs = [*iter_refs(layer.calls[number].args), *iter_refs(list(_tensor_keywords(layer.calls[number]).values()))]
    if len(refs) != 1:
        count = len(refs)
        before = ", ".join(sorted({ref.layer for ref in layer.calls[number].refs()}))
        raise EditError(
            f"'{layer.name}' ({layer.kind_name}) takes {count} inputs, so no single tensor goes on in its place",
            hint=f"name one of the layers before it: {before}",
        )
    return refs[0]


def with_input(call: Call, old: TensorRef, new: TensorRef) -> Call:
    """The call with another tensor for its one input; masks stay."""
    inputs = {key: value for key, value in call.kwargs.items() if "mask" not in key}

    def put(ref: TensorRef) -> TensorRef:
        return new if ref.key == old.key else ref

    return replace(call, args=map_refs(call.args, put), kwargs={**call.kwargs, **map_refs(inputs, put)})


def adapted(call: Call, old: Layer, new: Layer) -> Call:
    """The old layer's call in the form that the new class takes."""
    entry = catalog.find(new.kind_name)
    args = call.args
    keywords = _tensor_keywords(call)
    if new.kind_name != old.kind_name and len(keywords) == 1 and not list(iter_refs(args)):
        # Classes name their input differently; the first positional argument is the input of all.
        args = tuple(keywords.values())
        call = replace(call, kwargs={key: value for key, value in call.kwargs.items() if key not in keywords})
    if new.is_operation != old.is_operation:
        refs = list(iter_refs(args))
        merges = entry is not None and entry.merges
        args = tuple(refs) if new.is_operation else ((refs if merges else refs[0] if len(refs) == 1 else refs),)
    if new.class_name == old.class_name or entry is None:
        return replace(call, args=args)
    kwargs: dict[str, Any] = {}
    for key, value in call.kwargs.items():
        if key in entry.call_arguments:
            kwargs[key] = value
        elif list(iter_refs(value)) and "mask" not in key:
            raise EditError(
                f"'{old.name}' is called with the tensor '{key}', for which {new.kind_name} has no argument",
                hint=f"use a class that takes '{key}', or remove what gives it first",
            )
    return replace(call, args=args, kwargs=kwargs)


def _tensor_keywords(call: Call) -> dict[str, Any]:
    """Keyword arguments that hold tensors, masks aside."""
    return {key: value for key, value in call.kwargs.items() if "mask" not in key and list(iter_refs(value))}
