"""A process of its own in which trainings run on three logical CPUs and on one: TensorFlow must not run before.

`python -m tests.live.training.several FOLDER` carries out what `cases.json` there says, and stores the numbers of every
model in `FOLDER/CASE/DEVICES.npz`, what the reports say in `FOLDER/notes.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICES = {"three": ", distribute: {strategy: mirrored, devices: ['CPU:0', 'CPU:1', 'CPU:2']}", "one": ""}


class StoppedError(Exception):
    """What ends a training from without."""


def carry_out(folder: Path, model: str, train: str, **options: Any) -> list[str]:
    """The notes of a training in a folder."""
    from modelrecipe import load_recipe

    recipe = folder / "recipe.yaml"
    lines = ["version: 1", "seed: 3", "steps:", f"  - load: ../../{model}.keras", f"  - {train}"]
    lines += ["  - save: {path: out.keras, force: true}", ""]
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write_text("\n".join(lines), encoding="utf-8")
    outcome = load_recipe(recipe).run(**options)
    return list(outcome.steps[1].notes)


def stop_and_resume(folder: Path, model: str, train: str) -> list[str]:
    """The notes of a training that broke off when it had kept its second state, and then went on."""
    kept: list[str] = []

    def hear(event: str, facts: Mapping[str, Any]) -> None:
        kept.extend([event] if event == "state" else [])
        if len(kept) == 2:
            raise StoppedError(facts["batch"])

    try:
        carry_out(folder, model, train, events=hear)
    except RecipeError:
        return carry_out(folder, model, train, resume=True)
    raise ValueError("the training was not stopped")


def store_draws(folder: Path) -> None:
    """What a random layer draws on each of three devices, and on one."""
    import keras
    import numpy as np
    import tensorflow as tf

    from modelrecipe.live.training.replicas import share_model

    def draws(strategy: Any, model: keras.Model) -> Any:
        generator = model.get_layer("drop").seed_generator
        run = tf.function(lambda: strategy.run(lambda: keras.random.uniform((4,), seed=generator)))
        return strategy.experimental_local_results(run())

    three = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1", "CPU:2"])
    path = folder / "dropping.keras"
    np.save(folder / "draw.npy", draws(tf.distribute.get_strategy(), keras.saving.load_model(path))[0])
    with three.scope():
        model = keras.saving.load_model(path)
        model.compile("sgd", "mse")
        share_model(model, (np.zeros((3, *model.input_shape[1:])), np.zeros((3, *model.output_shape[1:]))))
    np.save(folder / "draws.npy", np.stack([np.asarray(part) for part in draws(three, model)]))


def main(folder: Path) -> None:
    """Carry all cases out."""
    notes: dict[str, dict[str, list[str]]] = {}
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        for devices, words in DEVICES.items():
            place = folder / name / devices
            train = case["train"].replace("DEVICES", words)
            act = stop_and_resume if case["resumed"] and devices == "three" else carry_out
            try:
                said = act(place, case["model"], train)
            except RecipeError as error:
                said = [str(error)]  # the other cases are of interest all the same
            notes.setdefault(name, {})[devices] = said
    store_draws(folder)
    (folder / "notes.json").write_text(json.dumps(notes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
