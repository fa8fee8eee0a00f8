"""Where examples can lie, as a recipe writes it: folders of images, TFRecord files, data sets known by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from modelrecipe.errors import LanguageError
from modelrecipe.fields import Doc, Rule
from modelrecipe.frozen import frozen

Size = Annotated[int, Rule({"minimum": 1})]
Dtype = Literal[
    "bfloat16",
    "bool",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "string",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]
Interpolation = Literal["bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"]
CHANNELS: Mapping[str, int] = {"grayscale": 1, "rgb": 3, "rgba": 4}


@frozen
class ImageFolder:
    """A folder of images with one sub-folder for each class, as `keras.utils.image_dataset_from_directory` reads it."""

    path: Annotated[str, Doc("the folder; the sorted names of its sub-folders are the classes, numbered from 0")]
    image_size: Annotated[
        tuple[Size, ...], Doc("height and width that every image is resized to"), Rule({"minItems": 2, "maxItems": 2})
    ] = (256, 256)
    color_mode: Annotated[Literal["grayscale", "rgb", "rgba"], Doc("1, 3 or 4 channels")] = "rgb"
    interpolation: Annotated[Interpolation, Doc("how images are resized")] = "bilinear"
    crop_to_aspect_ratio: Annotated[bool, Doc("cut the middle out instead of distorting")] = False
    label_mode: Annotated[
        Literal["int", "categorical", "binary", "none"],
        Doc("labels as numbers (n,), as rows of 0 and 1 (n, classes), as 0 or 1 of two classes (n, 1), or none"),
    ] = "int"


@frozen
class Feature:
    """One feature of the examples in TFRecord files."""

    shape: Annotated[tuple[Size, ...], Doc("sizes without batch; none for a single value")] = ()
    dtype: Annotated[Dtype, Doc("type of the numbers; an encoded image gives uint8")] = "float32"
    encoding: Annotated[
        Literal["value", "raw", "image"],
        Doc("a list of values; bytes that are the numbers themselves; a PNG, JPEG, GIF or BMP file"),
    ] = "value"
    resize: Annotated[Interpolation | None, Doc("resize images of another size by this interpolation")] = None

    def problems(self) -> Iterator[LanguageError]:
        """What an image cannot be, and what only an image has."""
        if self.encoding == "image" and (len(self.shape) != 3 or self.shape[2] not in CHANNELS.values()):
            hint = "write shape: [height, width, channels]"
            yield LanguageError("an image has three sizes, with 1, 3 or 4 channels", hint=hint, at=("shape",))
        if self.encoding == "raw" and self.dtype in ("string", "bool"):
            yield LanguageError(f"bytes cannot be read as {self.dtype}", hint="write dtype: uint8", at=("dtype",))
        if self.encoding != "image" and self.resize is not None:
            yield LanguageError("only an image can be resized", hint="write encoding: image", at=("resize",))


@frozen
class Records:
    """TFRecord files of `tf.train.Example`."""

    files: Annotated[
        str | tuple[str, ...], Doc("files, also compressed ones; may hold * and **, whose matches are sorted")
    ]
    features: Annotated[
        Mapping[str, Feature], Doc("name of a feature, to its shape and type"), Rule({"minProperties": 1})
    ]


@frozen
class KerasDataset:
    """A data set of `keras.datasets`, which Keras downloads once."""

    name: Annotated[
        Literal["boston_housing", "california_housing", "cifar10", "cifar100", "fashion_mnist", "mnist"],
        Doc("its name in keras.datasets"),
    ]
    split: Annotated[Literal["train", "test"], Doc("which of its two parts")] = "train"


@frozen
class TfdsDataset:
    """A data set of TensorFlow Datasets that was prepared on this machine before."""

    name: Annotated[str, Doc("its name, as mnist or mnist:3.0.1")]
    split: Annotated[str, Doc("which part, as train or test[:10%]")] = "train"
    folder: Annotated[str | None, Doc("where it was prepared; without it, where TensorFlow Datasets looks")] = None


@frozen
class TensorSpec:
    """One tensor of the examples: where it comes from, and what is done to it on the way to the model."""

    key: Annotated[
        str | tuple[str, ...] | None,
        Doc("its key or column in the source; a list is stacked, as columns to (n, k); x, y or sample_weight"),
    ] = None
    shape: Annotated[tuple[Size, ...] | None, Doc("reshape every example to these sizes")] = None
    resize: Annotated[
        tuple[Size, ...] | None,
        Doc("resize images (height, width, channels) bilinearly to this height and width"),
        Rule({"minItems": 2, "maxItems": 2}),
    ] = None
    scale: Annotated[float | None, Doc("multiply by this")] = None
    offset: Annotated[float | None, Doc("add this, after scaling")] = None
    dtype: Annotated[Dtype | None, Doc("type of the numbers; float32 for fractions, else that of the source")] = None
    one_hot: Annotated[int | None, Doc("turn labels into rows of this many 0 and 1"), Rule({"minimum": 2})] = None

    def problems(self) -> Iterator[LanguageError]:
        """What cannot be done to labels that become rows."""
        for key in ("resize", "scale", "offset"):
            if self.one_hot is not None and getattr(self, key) is not None:
                yield LanguageError(f"rows of 0 and 1 take no '{key}'", hint=f"remove '{key}' or 'one_hot'", at=(key,))

    def keys(self, default: str) -> tuple[str, ...]:
        """The keys of the source that the tensor is made of."""
        return (default,) if self.key is None else (self.key,) if isinstance(self.key, str) else self.key
