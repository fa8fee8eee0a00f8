"""`check`: demand something of the model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from modelrecipe import measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.errors import CheckError, LanguageError
from modelrecipe.fields import Doc, Rule
from modelrecipe.frozen import frozen
from modelrecipe.graph import locate
from modelrecipe.propagate import end_shapes
from modelrecipe.references import Shape, iter_refs
from modelrecipe.selector import Selector, backward_range, compare, count_range
from modelrecipe.step import NOTHING, Bench, Step, Touch
from modelrecipe.training.examples import Demanded, value_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NUMBER = r"[0-9.]+(?:[eE][+-]?[0-9]+)?"
_COMPARISON = rf"^\s*(<=|>=|==|<|>)\s*{_NUMBER}\s*$"
_SHARE = rf"^\s*(<=|>=|==|<|>)\s*{_NUMBER}\s*%?\s*$"
_COUNT = r"^\s*\d+\s*\.\.\s*\d+\s*$"
_SAYS_COUNT = Rule({"pattern": _COMPARISON, "patternErrorMessage": "must be a number or a comparison, as '<= 1e6'"})
_SAYS_SHARE = Rule({"pattern": _SHARE, "patternErrorMessage": "must be a comparison, as '<= 60%' or '== 650'"})
_SAYS_RANGE = Rule({"pattern": _COUNT, "patternErrorMessage": "must be a count or a range, as '1..3'"})
_NOT_NEGATIVE = Rule({"minimum": 0})


@frozen
class Signature:
    """Shape and type of one tensor that enters or leaves the model."""

    shape: Annotated[tuple[int | None, ...] | None, Doc("sizes, null for any, as [null, 5]")] = None
    dtype: Annotated[str | None, Doc("as float32; of inputs only")] = None


@dataclass(frozen=True, kw_only=True)
class Check(Step):
    """Demand something of the model, or stop the run before anything is written.

    All demands of one step are tested and all failures are told. What needs no numbers is tested in the plan already.
    `same_outputs_as` runs both models on the same inputs, drawn from the recipe's seed. `evaluate` measures the model
    on data, as the step of that name does, and its `demand` says what must come out.

    Example:
        - check: {outputs: {shape: [null, 5]}, trainable: "<= 60%", finite: true}
    """

    word: ClassVar[str] = "check"
    touches: ClassVar[Touch] = NOTHING

    layers: Annotated[Selector | None, Doc("layers to count, together with `count`")] = None
    count: Annotated[
        Annotated[int, _NOT_NEGATIVE] | Annotated[str, _SAYS_RANGE] | None,
        Doc("how many they must be, or a range '1..3'"),
    ] = None
    outputs: Annotated[Signature | tuple[Signature, ...] | None, Doc("signature of the output, or of all in order")] = (
        None
    )
    inputs: Annotated[Signature | tuple[Signature, ...] | None, Doc("signature of the input, or of all in order")] = (
        None
    )
    parameters: Annotated[
        Annotated[int, _NOT_NEGATIVE] | Annotated[str, _SAYS_COUNT] | None, Doc("number of all parameters")
    ] = None
    trainable: Annotated[
        Annotated[int, _NOT_NEGATIVE] | Annotated[str, _SAYS_SHARE] | None,
        Doc("trainable parameters: a number or a share in %"),
    ] = None
    finite: Annotated[bool | None, Doc("whether all weights must be finite")] = None
    same_outputs_as: Annotated[str | None, Doc("a model file whose outputs must be the same")] = None
    tolerance: Annotated[float, Doc("largest absolute difference that counts as the same"), _NOT_NEGATIVE] = 0.0
    batch: Annotated[int, Doc("how many samples to compare"), Rule({"minimum": 1})] = 4
    evaluate: Annotated[Demanded | None, Doc("what must be measured on data")] = None

    def problems(self) -> Iterator[LanguageError]:
        """Something must be demanded; `layers` and `count` go together."""
        if (self.layers is None) != (self.count is None):
            given, missing = ("layers", "count") if self.count is None else ("count", "layers")
            yield LanguageError(f"'{given}' needs '{missing}' too: which layers, and how many")
        if self.count is not None:
            yield from backward_range(self.count, "count")
        demands = (
            self.layers,
            self.outputs,
            self.inputs,
            self.parameters,
            self.trainable,
            self.finite,
            self.same_outputs_as,
            self.evaluate,
        )
        if all(demand is None for demand in demands):
            yield LanguageError("nothing is demanded", hint="write what must hold, as outputs: {shape: [null, 5]}")

    def apply(self, checkpoint: Checkpoint, bench: Bench) -> Checkpoint:
        """Test every demand.

        Raises:
            CheckError: one or more do not hold.
        """
        needs_sizes = any(
            demand is not None for demand in (self.outputs, self.inputs, self.parameters, self.trainable, self.finite)
        )
        measured = bench.measure(checkpoint) if needs_sizes else checkpoint
        failures: list[CheckError] = []
        for test in (
            _check_layers,
            _check_signatures,
            _check_parameters,
            _check_trainable,
            _check_finite,
            _check_outputs,
            _check_measures,
        ):
            failures += list(test(self, measured, bench))
        if failures:
            first = failures[0]
            rest = "".join(f"; also: {failure.message}" for failure in failures[1:])
            raise CheckError(first.message + rest, hint=first.hint, at=first.at)
        return measured


def _check_layers(step: Check, checkpoint: Checkpoint, bench: Bench) -> Iterator[CheckError]:
    if step.layers is None or step.count is None:
        return
    low, high = count_range(step.count)
    found = bench.select(checkpoint, step.layers, may_be_empty=low == 0)
    if not low <= len(found) <= high:
        counted = measures.counted(len(found), "layer")
        yield CheckError(f"{step.layers} matches {counted}, not {step.count}", at=("count",))
    else:
        bench.note(f"{len(found)} {'layer matches' if len(found) == 1 else 'layers match'} {step.layers}")


def _check_signatures(step: Check, checkpoint: Checkpoint, bench: Bench) -> Iterator[CheckError]:
    graph = checkpoint.model.graph
    for key, wanted in (("outputs", step.outputs), ("inputs", step.inputs)):
        if wanted is None:
            continue
        signatures = wanted if isinstance(wanted, tuple) else (wanted,)
        if graph is None:
            yield CheckError(f"the {key} of a subclassed model are not listed in its file", at=(key,))
            continue
        shapes = end_shapes(graph, of_inputs=key == "inputs")
        if len(shapes) != len(signatures):
            counted = measures.counted(len(shapes), key.removesuffix("s"))
            yield CheckError(f"the model has {counted}, not {len(signatures)}", at=(key,))
            continue
        names = [ref.layer for ref in iter_refs(graph.inputs if key == "inputs" else graph.outputs)]
        for name, shape, signature in zip(names, shapes, signatures, strict=True):
            yield from _check_signature(key, name, shape, signature, checkpoint, bench)


def _check_signature(
    key: str, name: str, shape: Shape | None, wanted: Signature, checkpoint: Checkpoint, bench: Bench
) -> Iterator[CheckError]:
    if wanted.dtype is not None and key == "inputs":
        dtype = locate(checkpoint.model, name).layer.config.get("dtype")
        if dtype != wanted.dtype:
            yield CheckError(f"input '{name}' is {dtype}, not {wanted.dtype}", at=(key, "dtype"))
    if wanted.shape is None:
        return
    if shape is None:
        bench.note(f"the shape of '{name}' is checked in the run: only Keras can tell it")
        return
    fits = len(shape) == len(wanted.shape) and all(
        w is None or w == s for w, s in zip(wanted.shape, shape, strict=True)
    )
    if not fits:
        what = "output" if key == "outputs" else "input"
        yield CheckError(
            f"{what} '{name}' has shape {measures.shape(shape)}, not {measures.shape(wanted.shape)}", at=(key, "shape")
        )
    else:
        bench.note(f"'{name}' has shape {measures.shape(shape)}")


def _check_parameters(step: Check, checkpoint: Checkpoint, bench: Bench) -> Iterator[CheckError]:
    if step.parameters is None:
        return
    total = checkpoint.parameters()
    if total is None:
        bench.note("the number of parameters is checked in the run: only Keras can tell it")
        return
    wanted = f"== {step.parameters}" if isinstance(step.parameters, int) else step.parameters
    if not compare(total, wanted):
        yield CheckError(f"the model has {total:,} parameters, not {wanted.removeprefix('== ')}", at=("parameters",))
    else:
        bench.note(f"{total:,} parameters")


def _check_trainable(step: Check, checkpoint: Checkpoint, bench: Bench) -> Iterator[CheckError]:
    if step.trainable is None:
        return
    count, total = checkpoint.trainable_parameters(), checkpoint.parameters()
    if count is None or total is None:
        bench.note("the trainable share is checked in the run: only Keras can tell it")
        return
    wanted = f"== {step.trainable}" if isinstance(step.trainable, int) else step.trainable
    share = 100 * count / total if total else 0.0
    is_share = wanted.rstrip().endswith("%")
    if not compare(share if is_share else count, re.sub(r"\s*%\s*$", "", wanted)):
        said = f"{share:.1f}% of the parameters are" if is_share else f"{count:,} parameters are"
        yield CheckError(f"{said} trainable, not {wanted.removeprefix('== ')}", at=("trainable",))
    else:
        bench.note(f"{count:,} of {total:,} parameters trainable ({share:.1f}%)")


def _check_finite(step: Check, checkpoint: Checkpoint, bench: Bench) -> Iterator[CheckError]:
    if not step.finite:
        return
    bad: list[str] = []
    unread = 0
    for located in checkpoint.layers():
        for tensor in checkpoint.weights.of(located.layer.key):
            values = bench.numbers(tensor)
            unread += values is None
            if values is not None and not _is_finite(values):
                bad.append(f"{located.path}/{tensor.name}")
    if bad:
        verb = "is" if len(bad) == 1 else "are"
        yield CheckError(
            f"{measures.counted(len(bad), 'weight')} {verb} not finite: {measures.quoted(bad)}", at=("finite",)
        )
    else:
        bench.note("whether all weights are finite is checked in the run" if unread else "all weights finite")


def _is_finite(values: NDArray[np.generic]) -> bool:
    import numpy as np  # verbs that read no numbers do without

    return values.dtype.kind in "iubSU" or bool(np.isfinite(values.astype(np.float64)).all())


def _check_outputs(step: Check, checkpoint: Checkpoint, bench: Bench) -> Iterator[CheckError]:
    if step.same_outputs_as is None:
        return
    difference = bench.compare(checkpoint, step.same_outputs_as, step.batch)
    if difference is None:
        bench.note("outputs are compared in the run")
    elif not difference <= step.tolerance:
        yield CheckError(
            f"outputs differ from '{step.same_outputs_as}' by up to {difference:.3g}, more than {step.tolerance:g}",
            hint="set tolerance if that much is meant",
            at=("same_outputs_as",),
        )
    else:
        bench.note(f"outputs differ from '{step.same_outputs_as}' by at most {difference:.3g}")


def _check_measures(step: Check, checkpoint: Checkpoint, bench: Bench) -> Iterator[CheckError]:
    wanted = step.evaluate
    if wanted is None:
        return
    measure = bench.evaluator(checkpoint, wanted, "evaluate")
    if measure is None:
        bench.note("what is demanded of them is checked in the run")
        return
    values = measure(checkpoint)
    bench.report(values)
    for name, comparison in wanted.demand.items():
        value = value_of(values, name, "evaluate", "demand", name)
        if not compare(value, comparison):
            yield CheckError(f"{name} is {value:.6g}, not {comparison}", at=("evaluate", "demand", name))
