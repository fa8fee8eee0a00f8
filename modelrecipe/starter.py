"""`init`: a first recipe for a given model, with comments, that validates and plans as it stands.

Chooses what most fine-tuning begins with: a new head, all else frozen, the numbers checked. What the model does not
allow (no layer with weights, a subclassed model) is left out. Knows the model's document, not Keras.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelrecipe import catalog, measures
from modelrecipe.checkpoint import Checkpoint
from modelrecipe.errors import SelectorError
from modelrecipe.graph import Located, iter_refs
from modelrecipe.propagate import end_shapes
from modelrecipe.selector import Selector, select
from modelrecipe.surgery import leaves_of

_SIZES = {"Dense": "units", "Conv1D": "filters", "Conv2D": "filters", "Conv3D": "filters"}
_PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def starter_recipe(checkpoint: Checkpoint, *, source: str, name: str, file: str) -> str:
    """The text of a recipe.

    Args:
        checkpoint: the model.
        source: path of its file, relative to where the recipe will stand.
        name: of the recipe, and of the file it will write.
        file: the recipe's own name, for its comments.
    """
    return "\n".join(_Starter(checkpoint=checkpoint, source=source, name=name, file=file).lines()) + "\n"


def text(value: str) -> str:
    """A text as YAML writes it: quoted only where it has to be, and never taken for a variable."""
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value.replace("${", "$${"), ensure_ascii=not value.isprintable())


@dataclass(frozen=True, kw_only=True)
class _Starter:
    checkpoint: Checkpoint
    source: str
    name: str
    file: str

    def lines(self) -> Iterator[str]:
        head = _head_of(self.checkpoint)
        size = None if head is None else self._size_of(head)
        yield from self._top()
        yield "vars:"
        yield f"  source: {{type: path, default: {text(self.source)}, description: the model to begin with}}"
        if size is not None:
            yield f"  classes: {{type: integer, default: {size}, description: how many the new head tells apart}}"
        yield ""
        yield "steps:"
        yield "  - load: ${source}"
        if head is not None and size is not None:
            yield from self._new_head(head)
        if head is not None:
            yield from self._freeze(head)
        elif (leaf := _last_weighted(self.checkpoint)) is not None:
            yield from self._rescale(leaf)
        yield from self._check(head, has_variable=size is not None)
        yield ""
        yield "  # A lock beside the file says what it was made of; nothing else is written."
        yield f"  - save: {text(f'out/{self.name}.{self._ending(is_rebuilt=size is not None)}')}"

    def _top(self) -> Iterator[str]:
        model = self.checkpoint.model
        layers = measures.counted(sum(1 for _ in self.checkpoint.layers()), "layer")
        parameters = measures.count(self.checkpoint.parameters())
        yield f"# A first recipe for {_comment(self.source)}: {_comment(model.kind_name)}, {layers}, {parameters} parameters."
        yield f"#   modelrecipe inspect {_comment(self.source)}   lists its layers"
        yield f"#   modelrecipe plan {_comment(self.file)}   says what would change"
        yield f"#   modelrecipe run {_comment(self.file)}   does it and proves that nothing else changed"
        yield "version: 1"
        yield f"name: {text(self.name)}"
        yield ""

    def _new_head(self, head: Located) -> Iterator[str]:
        argument = _SIZES[head.layer.class_name]
        yield ""
        yield f"  # The last layer with weights is taken for the head: {_comment(head.path)}. The new one has its arguments but"
        yield f"  # for {argument}, and fresh weights; `weights: keep` would take over the old ones, where they fit."
        yield "  - replace:"
        yield f"      layers: {_selector(self._selector(head))}"
        yield f"      with: {{class: {head.layer.class_name}, config: {{{argument}: \"${{classes}}\"}}}}"
        yield "      inherit: config"
        yield "      weights: fresh"

    def _freeze(self, head: Located) -> Iterator[str]:
        rest = self._before(head)
        if rest is None:
            return
        yield ""
        yield "  # All layers in front of the head stay as they are in a training to come; select fewer to train more."
        yield f"  - freeze: {{layers: {_selector(rest)}}}"

    def _rescale(self, leaf: Located) -> Iterator[str]:
        weight = next(t for t in self.checkpoint.tensors(leaf) if _can_be_scaled(t.dtype, is_trainable=t.is_trainable))
        yield ""
        if self.checkpoint.is_opaque:
            yield "  # The file of a subclassed model lists no layers, so its wiring cannot be changed; its numbers can."
        else:
            yield "  # An example of an edit: `modelrecipe steps` lists all others."
        yield "  - rescale:"
        yield f"      layers: {_selector(self._selector(leaf))}"
        yield f"      weights: {text(weight.name)}"
        yield "      factor: 0.5"

    def _check(self, head: Located | None, *, has_variable: bool) -> Iterator[str]:
        graph = self.checkpoint.model.graph
        shapes = [] if graph is None else end_shapes(graph)
        is_sized = head is not None and has_variable and graph is not None and len(shapes) == 1
        demands: list[str] = []
        if shapes and all(shape is not None for shape in shapes):
            said = [json.dumps(list(shape or ())) for shape in shapes]
            if is_sized and next(iter_refs(graph.outputs)).layer == head.path:  # type: ignore[union-attr]
                said = [re.sub(r"[^,\[\]]+\]$", ' "${classes}"]', said[0])]
            signatures = [f"{{shape: {shape}}}" for shape in said]
            demands.append("outputs: " + (signatures[0] if len(signatures) == 1 else f"[{', '.join(signatures)}]"))
        total = self.checkpoint.parameters()
        if total is not None:
            # With another number of classes it would be another.
            demands.append(f"parameters: {total}" if not has_variable else f"parameters: \"<= {2 * total}\"")
        if demands:
            yield ""
            yield "  # What must hold, or nothing is written. The numbers are those of the model today."
            yield "  - check:"
            yield from (f"      {demand}" for demand in demands)

    def _ending(self, *, is_rebuilt: bool) -> str:
        origin = self.checkpoint.origin
        return "h5" if origin is not None and origin.format == "hdf5" and not is_rebuilt else "keras"

    def _selector(self, located: Located) -> Mapping[str, Any]:
        """A selector that names this layer alone."""
        exact = {"regex": re.escape(located.path)}
        for candidate in ({"name": located.path}, exact):
            if self._selects(candidate, [located]):
                return candidate
        return exact

    def _selects(self, keys: Mapping[str, Any], wanted: Sequence[Located]) -> bool:
        try:
            found = select(self.checkpoint, Selector(**keys))
        except SelectorError:
            return False
        return [item.path for item in found] == [item.path for item in wanted]
