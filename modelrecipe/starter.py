"""`init`: a first recipe for a given model, with comments, that validates and plans as it stands.

Begins with what most fine-tuning begins with, a new head and all else frozen, and tries it in a plan; what the model
refuses (a subclassed model has no wiring to edit) is left out. Starts no Keras.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe import formats, measures
from modelrecipe.edit.surgery import leaves_of
from modelrecipe.errors import FileError, RecipeError, SelectorError
from modelrecipe.flow import Flow
from modelrecipe.frozen import frozen
from modelrecipe.plan import plan_recipe
from modelrecipe.recipe import load_recipe
from modelrecipe.recipe.variables import relative_path
from modelrecipe.selector import Selector, select
from modelrecipe.source.writing import comment_text, flow_text, yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.graph import Located
    from modelrecipe.outcome import Outcome, Totals

_SIZES = {"Dense": "units", "Conv1D": "filters", "Conv2D": "filters", "Conv3D": "filters"}
_SHARES = (1, 2, 5, 10, 20, 50, 75)


def starter_recipe(model: Path, target: Path) -> str:
    """The text of a first recipe.

    Args:
        model: a model file.
        target: where the recipe will stand; its paths are relative to that.

    Raises:
        FileError: the model file is missing, damaged, unsafe, or no whole Keras model.
    """
    draft = _Draft(checkpoint=formats.read_checkpoint(model), model=model, target=target)
    for steps in draft.attempts():
        outcome = _tried(draft.text(steps, source=model.resolve().as_posix(), check=[]))
        if outcome is not None and _all_tell(outcome) and not outcome.problems:
            check = list(draft.check(steps, outcome))
            return draft.text(steps, source=relative_path(model, target.parent), check=check)
    raise FileError(f"no recipe could be made for '{model}'", hint="its format can be inspected but not written")


def _tried(text: str) -> Outcome | None:
    """The plan of a recipe; None where it is refused."""
    with tempfile.TemporaryDirectory(prefix="modelrecipe-") as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return plan_recipe(load_recipe(path))
        except RecipeError:
            return None


def _all_tell(outcome: Outcome) -> bool:
    """Whether each step that selects layers changes some: nothing is frozen that is frozen already."""
    return all(step.changes or not step.matched for step in outcome.steps)


@frozen
class _Steps:
    """What a recipe does between loading and saving; each part may be left out."""

    head: Located | None = None
    frozen: Mapping[str, Any] | None = None
    rescaled: Located | None = None


@frozen
class _Draft:
    checkpoint: Checkpoint
    model: Path
    target: Path

    def attempts(self) -> Iterator[_Steps]:
        """What to try, the richest first; the last one does nothing."""
        head = self._head()
        if head is not None and not self.checkpoint.is_opaque:
            new = head if self._can_be_resized(head) else None
            frozen = self._all_but(head)
            if frozen is not None:
                yield _Steps(head=new, frozen=frozen)
                yield _Steps(frozen=frozen)
            if new is not None:
                yield _Steps(head=new)
        if head is not None:
            yield _Steps(rescaled=head)
        yield _Steps()

    def text(self, steps: _Steps, *, source: str, check: Sequence[str]) -> str:
        """The recipe."""
        size = _size(steps.head)
        lines = [*self._top(), "", "vars:"]
        lines += [f"  source: {{type: path, default: {yaml_text(source)}, description: the model to begin with}}"]
        if size is not None:
            lines += [f"  {size[0]}: {{type: integer, default: {size[1]}, description: size of the new head's output}}"]
        lines += ["", "steps:", "  - load: ${source}"]
        for part in (self._new_head(steps), self._freeze(steps), self._rescale(steps), check, self._save(steps)):
            block = list(part)
            lines += ["", *(f"  {line}" for line in block)] if block else []
        return "\n".join(lines) + "\n"

    def _top(self) -> Iterator[str]:
        model = self.checkpoint.model
        layers = measures.counted(sum(1 for _ in self.checkpoint.layers()), "layer")
        parameters = measures.count(self.checkpoint.parameters())
        recipe = comment_text(self.target.name)
        said = f"{comment_text(model.kind_name)}, {layers}, {parameters} parameters"
        yield f"# A first recipe for {comment_text(self.model.name)}: {said}."
        yield "# Change what is not meant, then:"
        yield f"#   modelrecipe plan {recipe}   says what would change"
        yield f"#   modelrecipe run {recipe}    does it, and proves that nothing else changed"
        yield "version: 1"
        yield f"name: {yaml_text(f'{self.model.stem}-tuned')}"
        custom = sorted({str(item.layer.registered_name) for item in self.checkpoint.layers() if _is_custom(item)})
        if custom and not self.checkpoint.is_opaque:
            yield f"# To build {comment_text(', '.join(custom))}, Keras needs their modules (--allow-code)."
            yield "# imports: [package.module]"

    def _new_head(self, steps: _Steps) -> Iterator[str]:
        size = _size(steps.head)
        if steps.head is None or size is None:
            return
        yield f"# The last layer with weights, {comment_text(steps.head.path)}, gives way to one of another size."
        yield "- replace:"
        yield f"    layers: {self._selector(steps.head)}"
        yield f'    with: {{class: {steps.head.layer.class_name}, config: {{{size[0]}: "${{{size[0]}}}"}}}}'
        yield "    inherit: config    # all other arguments are those of the old layer"
        yield "    weights: fresh     # keep would take over the old weights, where they fit"

    def _freeze(self, steps: _Steps) -> Iterator[str]:
        if steps.frozen is None:
            return
        yield "# All other layers are left out of a training to come; select fewer of them to train more."
        yield f"- freeze: {{layers: {flow_text(steps.frozen)}}}"

    def _rescale(self, steps: _Steps) -> Iterator[str]:
        if steps.rescaled is None:
            return
        if self.checkpoint.is_opaque:
            yield "# The file of a subclassed model lists no layers: its wiring cannot be changed, its numbers can."
        yield "# An example of an edit; 'modelrecipe steps' lists the others."
        weight = next(tensor.name for tensor in self.checkpoint.tensors(steps.rescaled) if tensor.is_trainable)
        yield f"- rescale: {{layers: {self._selector(steps.rescaled)}, weights: {yaml_text(weight)}, factor: 0.5}}"

    def check(self, steps: _Steps, outcome: Outcome) -> Iterator[str]:
        """The lines of a check that holds for the planned outcome, whatever size the new head gets."""
        if outcome.after is None:
            return
        after, size = outcome.after, _size(steps.head)
        parameters, trainable = self._counts(steps, outcome)
        demands = list(_demands_of_outputs(steps, after))
        if size is None:
            # Nothing can change these numbers but an edit of the recipe.
            demands += [f"parameters: {parameters}"] if parameters is not None else []
            demands += [f"trainable: {trainable}"] if trainable is not None else []
        elif parameters and trainable is not None:
            share = 100 * trainable / parameters
            bound = next((most for most in _SHARES if share <= most), None)
            demands += [f'trainable: "<= {bound}%"'] if bound is not None else []
        if not demands:
            return
        said = f"{measures.count(trainable)} of them trainable ({measures.share(trainable, parameters)})"
        yield "# What must hold, or nothing is written."
        yield f"# As it stands: {measures.count(parameters)} parameters, {said}."
        yield "- check:"
        yield from (f"    {demand}" for demand in demands)

    def _counts(self, steps: _Steps, outcome: Outcome) -> tuple[int | None, int | None]:
        """All and trainable parameters; a new head that is made like the old one has as many."""
        before, after = outcome.before, outcome.after
        if before is None or after is None:
            return None, None
        if after.parameters is not None or steps.head is None:
            return after.parameters, after.trainable
        if steps.frozen is None:
            return before.parameters, before.trainable
        tensors = self.checkpoint.weights.of(steps.head.layer.key)
        return before.parameters, sum(tensor.size or 0 for tensor in tensors if tensor.is_trainable)

    def _save(self, steps: _Steps) -> Iterator[str]:
        origin = self.checkpoint.origin
        # A streamed copy stays in its container; what has to be built is written as Keras writes today.
        is_old = origin is not None and origin.format == "hdf5" and steps.head is None
        yield "# The model, with a lock beside it that says what it was made of."
        yield f"- save: {yaml_text(f'out/{self.model.stem}-tuned.' + ('h5' if is_old else 'keras'))}"

    def _head(self) -> Located | None:
        """The last layer with weights that training would change."""
        weighted = [located for located in self.checkpoint.layers() if self._is_weighted(located)]
        return weighted[-1] if weighted else None

    def _is_weighted(self, located: Located) -> bool:
        tensors = self.checkpoint.weights.of(located.layer.key)
        return any(tensor.is_trainable and tensor.dtype is not None and "float" in tensor.dtype for tensor in tensors)

    def _can_be_resized(self, head: Located) -> bool:
        """Whether a head of another size fits the model; a quantized one cannot begin anew."""
        tensors = self.checkpoint.weights.of(head.layer.key)
        is_float = all(tensor.dtype is not None and "float" in tensor.dtype for tensor in tensors)
        return head.layer.class_name in _SIZES and is_float and not self._feeds_weights(head)

    def _feeds_weights(self, head: Located) -> bool:
        reached = Flow.of(self.checkpoint.model).downstream(head.path)
        around = {"/".join(head.path.split("/")[:depth]) for depth in range(1, head.path.count("/") + 1)}
        others = [located for located in self.checkpoint.layers() if located.path in reached - around]
        return any(self._is_weighted(located) for located in others)

    def _all_but(self, head: Located) -> Mapping[str, Any] | None:
        """A selector of all layers with weights but the head; None where there is no other."""
        layers = list(self.checkpoint.layers())
        wanted = {item.path for item in layers if self._is_weighted(item) and item.layer.key != head.layer.key}
        if not wanted:
            return None
        before = layers[[item.path for item in layers].index(head.path) - 1]
        around = ["/".join(head.path.split("/")[:depth]) for depth in range(1, head.path.count("/") + 2)]
        excepted = [self._keys(item) for item in layers if item.path in around or item.layer.key == head.layer.key]
        rest = {"not": excepted[0] if len(excepted) == 1 else {"any": excepted}}
        for keys in ({"until": before.path}, rest):
            found = leaves_of(self._select(keys))
            if wanted <= set(found) and all(item.layer.key != head.layer.key for item in found.values()):
                return keys
        return None

    def _selector(self, located: Located) -> str:
        keys = self._keys(located)
        return yaml_text(keys["name"]) if "name" in keys else flow_text(keys)

    def _keys(self, located: Located) -> Mapping[str, str]:
        """A selector of this layer alone: its path, or where that is a glob or names others too, a regex."""
        found = self._select({"name": located.path})
        return (
            {"name": located.path}
            if [item.path for item in found] == [located.path]
            else {"regex": re.escape(located.path)}
        )

    def _select(self, keys: Mapping[str, Any]) -> list[Located]:
        try:
            return select(self.checkpoint, _selector_of(keys))
        except SelectorError:
            return []


def _selector_of(keys: Mapping[str, Any]) -> Selector:
    if "not" in keys:
        return Selector(not_=_selector_of(keys["not"]))
    if "any" in keys:
        return Selector(any_=tuple(_selector_of(item) for item in keys["any"]))
    return Selector(**keys)


def _size(head: Located | None) -> tuple[str, int] | None:
    """The argument that says how large a head's output is, and its value."""
    argument = None if head is None else _SIZES.get(head.layer.class_name)
    value = None if head is None or argument is None else head.layer.config.get(argument)
    return (argument, value) if argument is not None and isinstance(value, int) else None


def _is_custom(located: Located) -> bool:
    return ">" in (located.layer.registered_name or "")


def _demands_of_outputs(steps: _Steps, after: Totals) -> Iterator[str]:
    size = _size(steps.head)
    shapes = [list(end.shape) for end in after.outputs if end.shape is not None]
    if not shapes or len(shapes) < len(after.outputs):
        return
    said = [f"{{shape: {json.dumps(shape)}}}" for shape in shapes]
    if size is not None:
        if steps.head is None or [end.name for end in after.outputs] != [steps.head.path]:
            return
        sizes = [json.dumps(item) for item in shapes[0][:-1]]
        said = [f'{{shape: [{", ".join(sizes)}, "${{{size[0]}}}"]}}']
    yield f"outputs: {said[0] if len(said) == 1 else '[' + ', '.join(said) + ']'}"
