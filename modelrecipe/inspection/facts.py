"""What `inspect` has to tell, as values: `report.inspection` puts them on a screen, `--json` prints them."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal

from modelrecipe.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelrecipe.checkpoint import Mended
    from modelrecipe.outcome import Totals
    from modelrecipe.references import Shape


@frozen
class WeightFacts:
    """One variable of a layer."""

    name: str
    shape: tuple[int, ...] | None
    dtype: str | None
    trainable: bool


@frozen
class LayerFacts:
    """One layer.

    Args:
        index: position from 0, as a selector's `index` counts when no other key is given.
        path: names from the outermost model inwards.
        type: class as a recipe names it.
        outputs: shapes that its first call gives; None where only Keras can tell.
        parameters: of the layer, or of all layers inside; None where only Keras can tell.
        trainable: its flag with the flags of the models around it.
        is_frozen: whether it has weights that could train and do not.
        calls: how often it is called.
        first_path: of a layer that stands in several places, the path of the first; None at the first place.
        dtype: name of the dtype policy.
        weights: variables of the layer itself.
        config: constructor arguments as the file has them.
    """

    index: int
    path: str
    type: str
    outputs: tuple[Shape | None, ...]
    parameters: int | None
    trainable: bool
    is_frozen: bool
    calls: int
    first_path: str | None
    dtype: str | None
    weights: tuple[WeightFacts, ...]
    config: Mapping[str, Any] = field(repr=False)


@frozen
class EntryFacts:
    """One tensor of a file that holds weights alone.

    Args:
        name: as the file writes it, which is what `map` and `ignore` of a recipe name.
        label: path of its layer, where the file notes that beside the name.
        shape: sizes.
        dtype: as Keras names it.
    """

    name: str
    label: str | None
    shape: tuple[int, ...]
    dtype: str


@frozen
class Inspection:
    """A model file, or one half of a model: an architecture without weights, weights without an architecture.

    Args:
        file: as the user wrote it.
        kind: `model`, `architecture` or `weights`.
        format: the container: `keras_zip`, `hdf5`, `saved_model`, `tfsm` (of one without Keras), `json`, `yaml`; of
            weights, one of `formats.weights.files`.
        writer: what wrote it, where the file says so.
        size: bytes.
        name: the model's; empty for weights.
        type: the model's class; empty for weights.
        is_opaque: whether the file lists no layers, as for a subclassed model.
        is_compiled: whether loss and optimizer are stored.
        optimizer: its class, where it is stored.
        has_optimizer_state: whether the optimizer's variables are stored.
        totals: size and ends of the whole model.
        repairs: what was mended to read it, each with the layers that it mended.
        remarks: what else there is to know of the file.
        obstacles: what keeps Keras from building the model, or the file from being opened; each is one sentence.
        selector: what the layers were selected by; None for all.
        layers: all of them, or the selected ones; none for weights.
        missing: what the other half of the model needs; None for a whole model.
        match: of weights, how their names find layers unless a recipe says otherwise.
        entries: of weights, the tensors, in the file's order.
    """

    file: str
    kind: Literal["model", "architecture", "weights"] = "model"
    format: str
    writer: str | None
    size: int
    name: str = ""
    type: str = ""
    is_opaque: bool = False
    is_compiled: bool = False
    optimizer: str | None = None
    has_optimizer_state: bool = False
    totals: Totals
    repairs: tuple[Mended, ...] = ()
    remarks: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()
    selector: str | None = None
    layers: tuple[LayerFacts, ...] = ()
    missing: str | None = None
    match: str | None = None
    entries: tuple[EntryFacts, ...] = ()
