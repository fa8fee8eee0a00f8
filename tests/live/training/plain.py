"""What `train` is compared with: the same batches, given to `train_on_batch` of plain Keras one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers

from modelrecipe.engine.bench import WorkBench
from modelrecipe.engine.feeds import open_feeds
from tests.running import OUTPUT, SOURCE, load, run, same_bits, write_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from modelrecipe import Outcome, Recipe

DATA = "data.npz"
EXAMPLES, FEATURES, CLASSES = 22, 5, 3
LOSS = "sparse_categorical_crossentropy"


def write_data(folder: Path, examples: int = EXAMPLES) -> None:
    """Rows `x` with labels `y`, weights `w`, and a second target `z`."""
    dice = np.random.default_rng(5)
    x = dice.normal(size=(examples, FEATURES)).astype("float32")
    np.savez(
        folder / DATA,
        x=x,
        y=np.argmax(x[:, :CLASSES], axis=1),
        z=x.sum(axis=1, keepdims=True),
        w=dice.uniform(0.5, 2, size=examples).astype("float32"),
    )


def network(*, rate: float = 0.25, **settings: Any) -> keras.Model:
    """Dense with these settings, BatchNormalization, Dropout, Dense, Dense."""
    keras.utils.set_random_seed(3)
    enter = keras.Input((FEATURES,), name="enter")
    inner = layers.Dense(8, activation="relu", name="first", **settings)(enter)
    inner = layers.BatchNormalization(name="norm", momentum=0.9)(inner)
    inner = layers.Dropout(rate, seed=11, name="drop")(inner)
    inner = layers.Dense(6, activation="tanh", name="second")(inner)
    return keras.Model(enter, layers.Dense(CLASSES, activation="softmax", name="last")(inner))


def training(text: str, *, data: str = f"npz: {DATA}", loss: str = LOSS) -> str:
    """The step `train` with small batches; `text` are the parameters that a test is about."""
    return f"train: {{data: {{{data}}}, loss: {loss}, {text}}}"


def trained(folder: Path, model: keras.Model, *steps: str, head: str = "seed: 3", **options: Any) -> keras.Model:
    """The model after these steps, loaded by plain Keras."""
    carry_out(folder, model, *steps, head=head, **options)
    return load(folder / OUTPUT)


def carry_out(folder: Path, model: keras.Model, *steps: str, head: str = "seed: 3", **options: Any) -> Outcome:
    """Run these steps between `load` and `save`."""
    model.save(folder / SOURCE)
    if not (folder / DATA).exists():
        write_data(folder)
    return run(folder, f"load: {SOURCE}", *steps, f"save: {{path: {OUTPUT}, force: true}}", head=head, **options)


def batches(folder: Path, *steps: str, head: str = "seed: 3") -> list[tuple[Any, ...]]:
    """All batches of the training that comes last, over all its epochs, in order."""
    recipe = write_recipe(folder, f"load: {SOURCE}", *steps, head=head, name="batches.yaml")
    return batches_of(recipe, len(recipe.steps))


def batches_of(recipe: Recipe, number: int) -> list[tuple[Any, ...]]:
    """All batches of the training that is the step of that number."""
    step: Any = recipe.steps[number - 1].step
    bench = WorkBench(folder=recipe.folder, seed=recipe.seed, step_number=number)
    options = {"batch_size": step.batch_size, "drop_remainder": step.drop_remainder}
    feed = open_feeds(bench, step.data, **options).train
    total = step.steps or step.epochs * feed.batches
    found: list[tuple[Any, ...]] = []
    epoch = 0
    while len(found) < total:
        found += list(feed.dataset(epoch))
        epoch += 1
    return found[:total]


def fit(
    model: keras.Model,
    batches: list[tuple[Any, ...]],
    *,
    after: Mapping[int, Callable[[], None]] | None = None,
    class_weight: Mapping[int, float] | None = None,
    **compiled: Any,
) -> keras.Model:
    """Train a model of plain Keras batch by batch; `after` is called after these numbers of batches."""
    if compiled:
        model.compile(**{"loss": LOSS, "jit_compile": False, **compiled})
    for number, batch in enumerate(batches, start=1):
        model.train_on_batch(*batch, class_weight=class_weight)
        if after and number in after:
            after[number]()
    return model


def different(one: keras.Model, other: keras.Model) -> list[str]:
    """Paths of the variables whose bits differ."""
    return [
        f"{path}"
        for (path, left), right in zip(numbers(one).items(), numbers(other).values(), strict=True)
        if not same_bits(left, right)
    ]


def numbers(model: keras.Model) -> dict[str, np.ndarray]:
    """All variables but random state by their paths, which a second variable of that path has in brackets."""
    found: dict[str, np.ndarray] = {}
    for variable in model.variables:
        path = variable.path if variable.path not in found else f"({variable.path})"
        if "seed_generator" not in path:
            found[path] = variable.numpy()
    return found
