"""Open a model to look at it: `load_model.py SOURCE`."""

import sys

import tensorflow  # noqa: F401
from keras.saving import load_model

load_model(sys.argv[1], compile=False)
