"""Trains the digits network with `Model.fit`: the peer of `train`."""

from __future__ import annotations

import sys

import numpy as np


def main(source: str, data: str, target: str, epochs: str) -> None:
    import keras

    keras.utils.set_random_seed(7)
    with np.load(data) as archive:
        images, labels = archive["images"][..., None].astype("float32"), archive["labels"]
    model = keras.saving.load_model(source, compile=False)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, batch_size=32, epochs=int(epochs), verbose=0)
    model.save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
