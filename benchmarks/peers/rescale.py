"""Halve weights: `rescale.py SOURCE TARGET [LAYER]`; without LAYER, those of every layer."""

import sys

import keras

source, target, *chosen = sys.argv[1:]
model = keras.saving.load_model(source, compile=False)
for layer in [model.get_layer(name) for name in chosen] or [model]:
    for variable in layer.weights:
        variable.assign(variable * 0.5)
model.save(target)
