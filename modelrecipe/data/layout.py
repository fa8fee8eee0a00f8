"""Which tensors of a source feed the model, and what each looks like after what is done to it on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from modelrecipe.data.kinds import TensorSpec
from modelrecipe.data.stock import Header
from modelrecipe.errors import DataError, RecipeError
from modelrecipe.frozen import frozen
from modelrecipe.measures import quoted, shape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from modelrecipe.data.spec import DataSource, Tensors
    from modelrecipe.data.stock import Stock

Role = Literal["x", "y", "sample_weight"]
_INTEGERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("bfloat16", "float16", "float32", "float64")
_NESTED = "/"
"""Between x or y and the name of a tensor inside it, where a source gives mappings."""


@frozen
class Wanted:
    """One tensor that feeds the model.

    Args:
        role: input, target or weight.
        name: of the model's input or output; None where there is one only.
        spec: what is done to it.
        at: keys of the recipe that lead to it.
        classes: labels that are numbered in this order; none where they stay as they are.
    """

    role: Role
    name: str | None
    spec: TensorSpec
    at: tuple[str | int, ...]
    classes: tuple[int | str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Its keys in the source."""
        return self.spec.keys(self.role)

    @property
    def label(self) -> str:
        """What messages call it."""
        return "'" + "', '".join(self.keys) + "'" if len(self.keys) < 4 else f"'{self.keys[0]}' to '{self.keys[-1]}'"


def wanted_tensors(
    source: DataSource, known: Collection[str], classes: tuple[int | str, ...] | None = None
) -> tuple[Wanted, ...]:
    """Inputs, then targets, then weights.

    Args:
        source: what the recipe says.
        known: keys that the source has, for what the recipe leaves out.
        classes: see `Wanted.classes`; for the target.

    Raises:
        DataError: nothing says what the inputs are; weights stand without targets; classes without one target.
    """
    found = list(_of_role("x", source.x, known))
    if not found:
        hint = "write x: " + (f"one of {', '.join(list(known)[:12])}" if known else "...")
        raise DataError("nothing says which tensor is the input", hint=hint, at=("x",))
    targets = list(_of_role("y", source.y, known))
    if classes is not None:
        if len(targets) != 1:
            raise DataError("'classes' need one target with labels", hint="write y: ...", at=("classes",))
        targets = [replace(targets[0], classes=classes)]
    weight = source.sample_weight
    if weight is None and "sample_weight" in known and targets:
        weight = TensorSpec()
    if weight is not None and not targets:
        raise DataError("weights without targets have no use", hint="write y: ...", at=("sample_weight",))
    weights = [] if weight is None else [Wanted(role="sample_weight", name=None, spec=weight, at=("sample_weight",))]
    return (*found, *targets, *weights)


def _of_role(role: Literal["x", "y"], said: Tensors | None, known: Collection[str]) -> Iterator[Wanted]:
    if said is None:
        inner = {key.partition(_NESTED)[2]: key for key in known if key.startswith(role + _NESTED)}
        said = TensorSpec() if role in known else {name: TensorSpec(key=key) for name, key in inner.items()}
    if isinstance(said, Mapping):
        for name, spec in said.items():
            yield Wanted(role=role, name=name, spec=_spec(spec, name), at=(role, name))
    else:
        yield Wanted(role=role, name=None, spec=_spec(said, role), at=(role,))


def _spec(said: TensorSpec | tuple[str, ...], name: str) -> TensorSpec:
    """The long form; a tensor of a mapping that names no key has the key of its own name."""
    spec = TensorSpec(key=said) if isinstance(said, tuple) else said
    return spec if spec.key is not None else replace(spec, key=name)


def joined(wanted: Wanted, stock: Stock) -> Header:
    """The header of what a tensor is made of, before anything is done to it.

    Raises:
        DataError: a key does not exist; what is stacked differs in length or shape, or is text; `at` leads to it.
    """
    try:
        parts = [stock.header(key) for key in wanted.keys]
    except RecipeError as error:
        error.at = (*wanted.at, *error.at)
        raise
    if len(parts) == 1 and not isinstance(wanted.spec.key, tuple):
        return parts[0]
    for key, part in zip(wanted.keys, parts, strict=True):
        if part.dtype == "string":
            raise DataError(f"'{key}' cannot be stacked: it holds texts", at=wanted.at)
        if part.shape != parts[0].shape:
            sizes = f"{shape(part.shape)}, but '{wanted.keys[0]}' of {shape(parts[0].shape)}"
            raise DataError(f"'{key}' cannot be stacked: its examples are of {sizes}", at=wanted.at)
        if part.length != parts[0].length:
            raise DataError(f"'{key}' has another length than '{wanted.keys[0]}'", at=wanted.at)
    dtypes = {part.dtype for part in parts}
    dtype = parts[0].dtype if len(dtypes) == 1 else "float32" if dtypes & set(_FLOATS) else "int64"
    return Header(length=parts[0].length, shape=(*parts[0].shape, len(parts)), dtype=dtype)


def arranged(wanted: Wanted, header: Header) -> Header:
    """What a tensor looks like to the model.

    Raises:
        DataError: what the recipe says cannot be done to it; `at` leads to the key.
    """
    spec, found = wanted.spec, header
    if wanted.classes:
        found = _numbered(wanted, found)
    if spec.shape is not None:
        found = _reshaped(wanted, found, spec.shape)
    if None in found.shape:
        raise DataError(f"{wanted.label} has no fixed shape: {shape((None, *found.shape))}", at=wanted.at)
    if spec.one_hot is not None:
        found = _as_rows(wanted, found, spec.one_hot)
    if spec.resize is not None:
        if len(found.shape) != 3:
            what = f"{wanted.label} gives {shape((None, *found.shape))}, but images are (None, height, width, channels)"
            raise DataError(what, hint="write shape: [height, width, channels]", at=(*wanted.at, "resize"))
        found = replace(found, shape=(*spec.resize, found.shape[2]), dtype="float32")
    for key in ("resize", "scale", "offset", "dtype"):
        said = getattr(spec, key)
        if said is not None and header.dtype == "string" and not wanted.classes and said != "string":
            raise DataError(f"{wanted.label} holds texts", hint=f"remove '{key}'", at=(*wanted.at, key))
    return replace(found, dtype=final_dtype(spec, found.dtype))


def final_dtype(spec: TensorSpec, dtype: str) -> str:
    """What the model is given: what the recipe says, fractions as float32, all else as it is."""
    if spec.dtype is not None:
        return spec.dtype
    is_scaled = spec.scale is not None or spec.offset is not None or spec.one_hot is not None
    return "float32" if dtype == "float64" or (is_scaled and dtype in _INTEGERS) else dtype


def _numbered(wanted: Wanted, header: Header) -> Header:
    wants_text = all(isinstance(item, str) for item in wanted.classes)
    if header.shape not in ((), (1,)):
        gives = f"{wanted.label} gives {shape((None, *header.shape))}"
        raise DataError(f"{gives}, but 'classes' need one label for each example", at=("classes",))
    if (header.dtype == "string") is not wants_text or header.dtype in _FLOATS:
        kind = "texts" if header.dtype == "string" else "fractions" if header.dtype in _FLOATS else "numbers"
        named = quoted([str(item) for item in wanted.classes])
        raise DataError(f"{wanted.label} holds {kind}, but 'classes' names {named}", at=("classes",))
    return replace(header, dtype="int32")


def _reshaped(wanted: Wanted, header: Header, sizes: tuple[int, ...]) -> Header:
    if None not in header.shape and math.prod(size or 0 for size in header.shape) != math.prod(sizes):
        has, wants = math.prod(size or 0 for size in header.shape), math.prod(sizes)
        what = f"{wanted.label} has {has:,} numbers in each example, but {shape(sizes)} has {wants:,}"
        raise DataError(what, hint=f"its shape is {shape(header.shape)}", at=(*wanted.at, "shape"))
    return replace(header, shape=sizes)


def _as_rows(wanted: Wanted, header: Header, depth: int) -> Header:
    if header.dtype not in _INTEGERS:
        what = f"{wanted.label} holds {header.dtype}, but rows of 0 and 1 are made of whole numbers"
        raise DataError(what, hint="remove 'one_hot', or name the labels in 'classes'", at=(*wanted.at, "one_hot"))
    inner = header.shape[:-1] if header.shape[-1:] == (1,) else header.shape
    return replace(header, shape=(*inner, depth), dtype="float32")
