"""Halve every weight, freeze one layer and give it another name: `rescale_freeze_rename.py SOURCE TARGET LAYER`."""

import sys

import keras

source, target, chosen = sys.argv[1:]
model = keras.saving.load_model(source, compile=False)
for variable in model.weights:
    variable.assign(variable * 0.5)
layer = model.get_layer(chosen)
layer.trainable = False
layer.name = "renamed"
model.save(target)
