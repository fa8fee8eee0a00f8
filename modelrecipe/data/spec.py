"""`data:` of a recipe: a source of examples, which of its tensors feed the model, and how they are divided.

Knows nothing of files: `describe` looks at them, `feed` reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Annotated, Any

from modelrecipe.data.kinds import ImageFolder, KerasDataset, Records, TensorSpec, TfdsDataset
from modelrecipe.errors import LanguageError
from modelrecipe.fields import Doc, Rule
from modelrecipe.frozen import frozen
from modelrecipe.layer_spec import LayerSpec

SOURCES = ("npz", "npy", "csv", "parquet", "images", "tfrecord", "dataset", "tfds", "keras", "function")
Tensors = TensorSpec | tuple[str, ...] | Mapping[str, TensorSpec | tuple[str, ...]]
Amount = Annotated[int | float, Rule({"exclusiveMinimum": 0})]


@frozen
class DataSource:
    """Examples: one source, and which of its tensors are inputs, targets and weights."""

    npz: Annotated[str | None, Doc("a NumPy archive, relative to the recipe")] = None
    npy: Annotated[Mapping[str, str] | None, Doc("key to .npy file, as {x: images.npy, y: labels.npy}")] = None
    csv: Annotated[str | None, Doc("a table with column names in its first line")] = None
    parquet: Annotated[str | None, Doc("a Parquet file")] = None
    images: Annotated[ImageFolder | None, Doc("a folder of images, one sub-folder for each class")] = None
    tfrecord: Annotated[Records | None, Doc("TFRecord files of tf.train.Example")] = None
    dataset: Annotated[str | None, Doc("a folder that tf.data.Dataset.save wrote")] = None
    tfds: Annotated[TfdsDataset | None, Doc("a prepared data set of TensorFlow Datasets")] = None
    keras: Annotated[KerasDataset | None, Doc("a data set of keras.datasets")] = None
    function: Annotated[
        str | None,
        Doc("package.module:name, which returns arrays or a tf.data.Dataset; needs --allow-code"),
        Rule(
            {
                "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
                "patternErrorMessage": "must be a function, as package.module:name",
            }
        ),
    ] = None
    arguments: Annotated[Mapping[str, Any], Doc("keyword arguments of the function")] = field(default_factory=dict)
    batched: Annotated[bool, Doc("the elements of the tf.data.Dataset are batches, not examples")] = False
    x: Annotated[Tensors | None, Doc("the input, or input name to tensor; without it, the key x")] = None
    y: Annotated[Tensors | None, Doc("the target, or output name to tensor; without it, the key y if there is one")] = (
        None
    )
    sample_weight: Annotated[TensorSpec | None, Doc("how much each example counts")] = None

    @property
    def kind(self) -> str:
        """Which of the sources is given; the first where none or several are."""
        return next((key for key in SOURCES if getattr(self, key) is not None), SOURCES[0])

    def problems(self) -> Iterator[LanguageError]:
        """Exactly one source, and nothing that belongs to another one."""
        given = [key for key in SOURCES if getattr(self, key) is not None]
        if not given:
            yield LanguageError("needs a source of examples", hint="write one of: " + ", ".join(SOURCES))
        elif len(given) > 1:
            yield LanguageError(f"has both '{given[0]}' and '{given[1]}'", hint="keep one")
        if self.arguments and self.function is None:
            yield LanguageError("'arguments' belong to a 'function'", at=("arguments",))
        if self.batched and self.dataset is None and self.function is None:
            yield LanguageError("'batched' belongs to a 'dataset' or a 'function'", at=("batched",))


@frozen
class DataSpec(DataSource):
    """The data that a model is trained on or looked at with."""

    classes: Annotated[
        tuple[int | str, ...] | None,
        Doc("keep only examples with these labels, and number them 0, 1, ... in this order"),
    ] = None
    take: Annotated[Amount | None, Doc("use a random part: a share below 1, or a number of examples")] = None
    validation: Annotated[
        Amount | DataSource | None,
        Doc("examples kept apart: a share below 1, a number of examples, or a source of their own"),
    ] = None
    stratified: Annotated[
        bool | str, Doc("keep the shares of the labels when a part is drawn; or the output whose labels are meant")
    ] = False
    shuffle: Annotated[bool, Doc("another order of the training examples in every epoch")] = True
    augment: Annotated[
        tuple[LayerSpec, ...] | Mapping[str, tuple[LayerSpec, ...]],
        Doc("layers applied to x in training only, after scaling; or input name to such a list"),
    ] = ()

    def problems(self) -> Iterator[LanguageError]:
        """Amounts that are none, duplicate classes, and layers that could not stand alone."""
        yield from super().problems()
        for key in ("take", "validation"):
            amount = getattr(self, key)
            if isinstance(amount, float) and amount >= 1:
                hint = f"write {round(amount)} for a number of examples, or a share below 1"
                yield LanguageError(f"{amount:g} is no share of the examples", hint=hint, at=(key,))
        for number, label in enumerate(self.classes or ()):
            if label in (self.classes or ())[:number]:
                yield LanguageError(f"the class '{label}' is named twice", hint="keep one", at=("classes", number))
        if self.stratified and not isinstance(self.take, int | float) and not isinstance(self.validation, int | float):
            yield LanguageError("nothing is drawn", hint="write take or validation", at=("stratified",))
        for at, layer in self.augmentation():
            if layer.inherit is not None or layer.weights is not None:
                key = "inherit" if layer.inherit is not None else "weights"
                yield LanguageError("an augmenting layer has no predecessor to take from", at=(*at, key))
            for error in layer.missing():
                error.at = (*at, *error.at)
                yield error

    def augmentation(self) -> Iterator[tuple[tuple[str | int, ...], LayerSpec]]:
        """Every augmenting layer with the keys that lead to it."""
        groups = self.augment.items() if isinstance(self.augment, Mapping) else [(None, self.augment)]
        for name, layers in groups:
            head = ("augment",) if name is None else ("augment", name)
            yield from (((*head, number), layer) for number, layer in enumerate(layers))

    def validation_source(self) -> DataSource | None:
        """The source of the validation examples, which names what it leaves out as the training source does."""
        own = self.validation
        if not isinstance(own, DataSource):
            return None
        return replace(
            own,
            x=self.x if own.x is None else own.x,
            y=self.y if own.y is None else own.y,
            sample_weight=self.sample_weight if own.sample_weight is None else own.sample_weight,
        )
