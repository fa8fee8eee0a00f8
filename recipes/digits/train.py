"""Train the small digits classifier that the recipes start from, and remake its data set.

    python train.py --out digits_cnn.keras     # a quarter of a minute on a CPU
    python train.py --data-from-sklearn        # rewrites digits.npz; needs scikit-learn

Both are reproducible: the same versions of Keras and TensorFlow on the same kind of processor give bit-identical
weights, and the script prints their digest.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

HERE = Path(__file__).parent
SEED = 1797
EPOCHS = 40
TEST_EVERY = 5


def make_data(path: Path) -> None:
    """Write `digits.npz` from the copy of the UCI digits that ships inside scikit-learn.

    Pixels there are whole numbers from 0 to 16 stored as float64; `images` (1797, 8, 8) and `labels` (1797,) keep them
    as uint8, in the order of the source. NumPy dates every member 1980, so the bytes do not depend on the day.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype(np.uint8)
    if not np.array_equal(images, digits.images):
        raise SystemExit("the pixels are no longer whole numbers: uint8 would lose information")
    np.savez_compressed(path, images=images, labels=digits.target.astype(np.uint8))


def read_data(path: Path) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The training pair and the test pair of images (n, 8, 8, 1) and labels (n,).

    Every fifth image is for testing. The same hands wrote both parts.
    """
    with np.load(path) as data:
        images, labels = data["images"][..., np.newaxis], data["labels"]
    is_test = np.arange(len(images)) % TEST_EVERY == TEST_EVERY - 1
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])


def build() -> keras.Model:
    """The untrained model: two convolution blocks, a feature vector, a softmax over ten digits."""
    import keras
    from keras import layers

    image = keras.Input((8, 8, 1), name="image")
    x = layers.Rescaling(1 / 16, name="scale")(image)
    for block, filters in ((1, 16), (2, 32)):
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{block}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"bn{block}")(x)
        x = layers.ReLU(name=f"relu{block}")(x)
        x = layers.MaxPooling2D(name=f"pool{block}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(32, activation="relu", name="features")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    digit = layers.Dense(10, activation="softmax", name="head")(x)
    return keras.Model(image, digit, name="digits_cnn")


def train(data: Path) -> tuple[keras.Model, float]:
    """The trained model, without optimizer state, and its accuracy on the test images."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    (images, labels), (test_images, test_labels) = read_data(data)
    model = build()
    steps = EPOCHS * -(-len(images) // 32)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        loss="sparse_categorical_crossentropy",
    )
    model.fit(images, labels, batch_size=32, epochs=EPOCHS, verbose=0)
    guessed = model.predict(test_images, verbose=0).argmax(axis=1)
    # A model that was never compiled saves no optimizer, which would treble the file.
    plain = keras.Model(model.inputs, model.outputs, name=model.name)
    return plain, float((guessed == test_labels).mean())


def digest(model: keras.Model) -> str:
    """SHA-256 over the bytes of every weight, in the model's order."""
    state = hashlib.sha256()
    for weight in model.get_weights():
        state.update(np.ascontiguousarray(weight).tobytes())
    return state.hexdigest()


def main() -> None:
    """Read the command line, train or remake the data, say what came out."""
    parser = argparse.ArgumentParser(description="Train the digits classifier that the recipes start from.")
    parser.add_argument("--out", type=Path, default=HERE / "digits_cnn.keras", help="where to save the model")
    parser.add_argument("--data", type=Path, default=HERE / "digits.npz", help="the images and labels")
    parser.add_argument("--data-from-sklearn", action="store_true", help="remake --data from scikit-learn and stop")
    options = parser.parse_args()
    if options.data_from_sklearn:
        make_data(options.data)
        sys.stdout.write(f"wrote {options.data}\n")
        return
    model, accuracy = train(options.data)
    model.save(options.out)
    sys.stdout.write(f"test accuracy {accuracy:.4f}, {model.count_params()} parameters\n")
    sys.stdout.write(f"weights sha256 {digest(model)}\nwrote {options.out}\n")


if __name__ == "__main__":
    main()
