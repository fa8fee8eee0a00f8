"""A layer that a recipe writes with few arguments is made with the defaults of its class."""

from __future__ import annotations

import keras
import pytest

from modelrecipe import catalog
from modelrecipe.errors import BuildError
from modelrecipe.graph import Layer
from modelrecipe.live.catalog_samples import ABSTRACT, FOREIGN, layer_classes, sample
from modelrecipe.live.construct import make

CLASSES = [name for name in layer_classes() if name not in (*ABSTRACT, *FOREIGN, "InputLayer", "Lambda")]


def written(name: str) -> Layer:
    """The layer as a recipe writes it: nothing but what the class cannot do without."""
    arguments = keras.saving.serialize_keras_object(sample(name).arguments())
    entry = catalog.find(name)
    assert entry is not None
    return Layer(
        name="new", class_name=entry.class_name, module=entry.module, config={**arguments, "name": "new"}, key="+new"
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_made_of_its_required_arguments(name: str):
    made = make(written(name), "new", is_safe=True)
    assert type(made) is layer_classes()[name]
    assert made.name == "new"


def test_an_unknown_class_is_told_with_what_to_do():
    layer = Layer(
        name="odd", class_name="Odd", module="pkg", registered_name="pkg>Odd", config={"name": "odd"}, key="odd"
    )
    with pytest.raises(BuildError) as caught:
        make(layer, "inner/odd", is_safe=True)
    assert str(caught.value) == (
        "the class 'pkg>Odd' of 'inner/odd' is not known to Keras;"
        " name the module that registers it under imports, and pass --allow-code"
    )
