"""Halve every weight of a file without architecture: `rescale_weights.py ARCHITECTURE WEIGHTS TARGET`."""

import sys
from pathlib import Path

import keras

architecture, weights, target = sys.argv[1:]
model = keras.models.model_from_json(Path(architecture).read_text(encoding="utf-8"))
model.load_weights(weights)
for variable in model.weights:
    variable.assign(variable * 0.5)
model.save_weights(target)
