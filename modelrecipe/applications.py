"""The architectures of `keras.applications`, known by name and argument without Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from modelrecipe.errors import LanguageError, UnknownKeyError, did_you_mean
from modelrecipe.fields import Doc, Rule, fields_of
from modelrecipe.frozen import frozen

_PREPROCESSING = ("include_preprocessing",)
_V3 = ("alpha", "minimalistic", "dropout_rate", *_PREPROCESSING)

# Name to the arguments beyond those that all constructors take; a test compares it with the installed Keras.
ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    **{f"ConvNeXt{size}": _PREPROCESSING for size in ("Tiny", "Small", "Base", "Large", "XLarge")},
    **{f"DenseNet{depth}": () for depth in (121, 169, 201)},
    **{f"EfficientNetB{number}": () for number in range(8)},
    **{f"EfficientNetV2{size}": _PREPROCESSING for size in ("B0", "B1", "B2", "B3", "S", "M", "L")},
    "InceptionResNetV2": (),
    "InceptionV3": (),
    "MobileNet": ("alpha", "depth_multiplier", "dropout"),
    "MobileNetV2": ("alpha",),
    "MobileNetV3Large": _V3,
    "MobileNetV3Small": _V3,
    "NASNetLarge": (),
    "NASNetMobile": (),
    **{f"ResNet{depth}{version}": () for depth in (50, 101, 152) for version in ("", "V2")},
    "VGG16": (),
    "VGG19": (),
    "Xception": (),
}
_COMMON = ("include_top", "weights", "input_shape", "pooling", "classes", "classifier_activation")


@frozen
class Application:
    """An architecture of `keras.applications` with the arguments of its constructor."""

    name: Annotated[str, Doc("the constructor, as VGG16"), Rule({"enum": sorted(ARCHITECTURES)})]
    weights: Annotated[str | None, Doc("null, imagenet (needs the network once), or a weights file")]
    include_top: Annotated[bool | None, Doc("with the classifier")] = None
    input_shape: Annotated[
        tuple[Annotated[int, Rule({"minimum": 1})], ...] | None,
        Doc("sizes without batch, as [224, 224, 3]"),
        Rule({"minItems": 3, "maxItems": 3}),
    ] = None
    pooling: Annotated[str | None, Doc("avg or max, at the end of a model without classifier")] = None
    classes: Annotated[int | None, Doc("how many classes the classifier tells apart"), Rule({"minimum": 1})] = None
    classifier_activation: Annotated[str | None, Doc("activation of the classifier")] = None
    alpha: Annotated[float | None, Doc("width multiplier")] = None
    depth_multiplier: Annotated[int | None, Doc("of depthwise convolutions")] = None
    dropout: Annotated[float | None, Doc("rate before the classifier")] = None
    dropout_rate: Annotated[float | None, Doc("rate before the classifier")] = None
    minimalistic: Annotated[bool | None, Doc("without squeeze-and-excite, hard-swish and 5x5 convolutions")] = None
    include_preprocessing: Annotated[bool | None, Doc("with the layers that scale the pixels")] = None

    def problems(self) -> Iterator[LanguageError]:
        """Arguments that this constructor does not have."""
        accepted = (*_COMMON, *ARCHITECTURES[self.name])
        for key in self.arguments():
            if key not in accepted:
                hint = did_you_mean(key, accepted) or "it takes: " + ", ".join(accepted)
                yield UnknownKeyError(f"unknown argument '{key}' of {self.name}", hint=hint, at=(key,))

    def arguments(self) -> dict[str, Any]:
        """What is given beside the name, `weights` always."""
        given = {item.key: getattr(self, item.attribute) for item in fields_of(Application) if item.key != "name"}
        return {key: value for key, value in given.items() if value is not None or key == "weights"}
