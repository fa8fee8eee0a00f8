"""Another head, another activation in 50 layers, all but the head frozen: `structure.py SOURCE TARGET CLASS`."""

import sys

import keras

source, target, kind = sys.argv[1:]
model = keras.saving.load_model(source, compile=False)
chosen = [layer.name for layer in model.layers if type(layer).__name__ == kind][:50]
head = model.layers[-1].name


def renew(layer):
    config = layer.get_config()
    if layer.name in chosen:
        config["activation"] = "relu"
    if layer.name == head:
        config = {"name": head, "units": 5, "kernel_initializer": "zeros"}
    return type(layer).from_config(config)


edited = keras.models.clone_model(model, clone_function=renew)
for old, new in zip(model.layers[:-1], edited.layers[:-1], strict=True):
    new.set_weights(old.get_weights())
    new.trainable = False
edited.save(target)
