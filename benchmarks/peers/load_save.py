"""Open a model and write it again, unchanged: `load_save.py SOURCE TARGET`."""

import sys

import keras

source, target = sys.argv[1:]
sys.setrecursionlimit(100_000)  # Keras recurses through the layers of a chain
keras.saving.load_model(source, compile=False).save(target)
