"""The table: which work is measured against which peer, and what it may cost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.child import ROOT
from benchmarks.contest import Check, Contest, Entrant, Limits, Program
from benchmarks.machine import copy_command

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.models import ModelFile, Models

_PEERS = ROOT / "benchmarks" / "peers"
_RECIPES = ROOT / "benchmarks" / "recipes"
_STREAMED_PEAK = 120 * 10**6
_OURS = (sys.executable, "-m", "modelrecipe")


def contests(models: Models, folder: Path) -> list[Contest]:
    """All rows.

    Args:
        models: the files that are read.
        folder: where outputs go.
    """
    return [
        _start(),
        *(_headers(model) for model in models.read),
        _values(models.large, folder),
        _legacy(models.legacy, folder),
        _weights(models.weights, folder),
        _digest(models.large),
        *(_structure(model, folder) for model in models.edited),
        _ten_steps(models.edited[0], folder),
        _training(folder, epochs=1 if models.large.kind == "small" else 30),
    ]


def recipe_command(verb: str, recipe: str, source: Path, output: Path, **given: str) -> tuple[str, ...]:
    """The command that plans or runs one of the recipes, with its output where it is told."""
    values = {"source": str(source), "output": output.name, **given}
    pairs = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    return (*_OURS, verb, str(_RECIPES / f"{recipe}.yaml"), "--out", str(output.parent), *pairs)


def peer_command(script: str, *arguments: object) -> tuple[str, ...]:
    """The command that runs one of the Keras scripts."""
    return (sys.executable, str(_PEERS / f"{script}.py"), *map(str, arguments))


def _copy(source: Path, folder: Path) -> Program:
    target = folder / f"copy-of-{source.name}"
    return Program(name="cp + fsync", argv=tuple(copy_command(source, target)), output=target)


def _start() -> Contest:
    recipe = str(ROOT / "recipes" / "quickstart.yaml")
    words = {"validate": ("validate", recipe), "steps": ("steps",), "--help": ("--help",)}
    return Contest(
        key="start",
        work="start",
        peer=Program(name="import numpy, yaml", argv=peer_command("imports")),
        entrants=tuple(
            Entrant(program=Program(name=name, argv=(*_OURS, *argv)), limits=Limits(wall=2.5))
            for name, argv in words.items()
        ),
    )


def _headers(model: ModelFile) -> Contest:
    commands = {
        "plan": recipe_command("plan", "one_step", model.path, model.path.with_name("planned.keras")),
        "inspect": (*_OURS, "inspect", str(model.path)),
    }
    return Contest(
        key="headers",
        work=f"headers of {model.title}",
        peer=Program(name="load_model", argv=peer_command("load_model", model.path)),
        entrants=tuple(
            Entrant(program=Program(name=name, argv=argv), limits=Limits(wall=1 / 15))
            for name, argv in commands.items()
        ),
        reads=(model.path,),
    )


def _values(model: ModelFile, folder: Path) -> Contest:
    every, one = Limits(wall=1.6, peak=_STREAMED_PEAK), Limits(wall=1.15, peak=_STREAMED_PEAK)
    return Contest(
        key="values",
        work=f"numbers of {model.title}",
        peer=_copy(model.path, folder),
        entrants=(
            _streamed("every tensor", "rescale", model, folder, every),
            _streamed("tensors, flag, name", "rescale_freeze_rename", model, folder, every, layer=model.layer),
            _streamed("one layer", "rescale_one", model, folder, one, peer="rescale", layer=model.layer),
        ),
        reads=(model.path,),
    )


def _streamed(
    name: str, recipe: str, model: ModelFile, folder: Path, limits: Limits, *, peer: str = "", **given: str
) -> Entrant:
    suffix = "".join(model.path.suffixes)
    output = folder / f"{recipe}{suffix}"
    check = Check(
        peer=peer or recipe,
        arguments=(str(model.path), "{target}", *given.values()),
        reference=folder / f"{recipe}-by-keras{suffix}",
    )
    command = recipe_command("run", recipe, model.path, output, **given)
    return Entrant(program=Program(name=name, argv=command, output=output), limits=limits, check=check)


def _legacy(model: ModelFile, folder: Path) -> Contest:
    limits = Limits(wall=1.8, peak=_STREAMED_PEAK)
    return Contest(
        key="legacy",
        work=f"numbers of {model.title}",
        peer=_copy(model.path, folder),
        entrants=(_streamed("every tensor", "rescale", model, folder, limits),),
        reads=(model.path,),
    )


def _weights(model: ModelFile, folder: Path) -> Contest:
    output, architecture = folder / "rescaled.weights.h5", model.path.with_suffix(".json")
    command = recipe_command("run", "rescale_weights", model.path, output, architecture=str(architecture))
    check = Check(
        peer="rescale_weights",
        arguments=(str(architecture), str(model.path), "{target}"),
        reference=folder / "rescaled-by-keras.weights.h5",
    )
    program = Program(name="every tensor", argv=command, output=output)
    return Contest(
        key="weights",
        work=f"numbers of {model.title}",
        peer=_copy(model.path, folder),
        entrants=(Entrant(program=program, limits=Limits(wall=1.8, peak=_STREAMED_PEAK), check=check),),
        reads=(model.path,),
    )


def _digest(model: ModelFile) -> Contest:
    program = Program(name="content digest", argv=(sys.executable, "-m", "benchmarks.digest", str(model.path)))
    return Contest(
        key="digest",
        work=f"digest of {model.title}",
        peer=Program(name="sha256sum", argv=("sha256sum", str(model.path))),
        entrants=(Entrant(program=program, limits=Limits(wall=1.2)),),
        reads=(model.path,),
    )


def _structure(model: ModelFile, folder: Path) -> Contest:
    output = folder / f"structure-{model.path.name}"
    reference = folder / f"structure-by-keras-{model.path.name}"
    recipe = f"structure_{model.swapped.lower()}"
    program = Program(name="run", argv=recipe_command("run", recipe, model.path, output), output=output)
    peer = Program(
        name="Keras script", argv=peer_command("structure", model.path, reference, model.swapped), output=reference
    )
    limits = Limits(wall=0.5, peak_ratio=0.6)
    return Contest(
        key="structure",
        work=f"structure of {model.title}",
        peer=peer,
        entrants=(Entrant(program=program, limits=limits, check=Check(reference=reference)),),
        reads=(model.path,),
    )


def _ten_steps(model: ModelFile, folder: Path) -> Contest:
    one, ten = folder / "one-step.keras", folder / "ten-steps.keras"
    program = Program(name="10 steps", argv=recipe_command("run", "ten_steps", model.path, ten), output=ten)
    return Contest(
        key="steps",
        work=f"structure of {model.title}",
        peer=Program(name="1 step", argv=recipe_command("run", "one_step", model.path, one), output=one),
        entrants=(Entrant(program=program, limits=Limits(wall=1.15), check=Check(reference=one)),),
        reads=(model.path,),
    )


def _training(folder: Path, *, epochs: int) -> Contest:
    """Both sides do the work of Keras' own training step; the peer has the loop of `fit` around it, ours has edits."""
    digits = ROOT / "recipes" / "digits"
    source, data = digits / "digits_cnn.keras", digits / "digits.npz"
    every = {"data": str(data), "epochs": str(epochs)}
    entrants: list[Entrant] = []
    for name, recipe in (("train", "train"), ("train, edits every 50", "train_with_edits")):
        output = folder / f"{recipe}.keras"
        program = Program(name=name, argv=recipe_command("run", recipe, source, output, **every), output=output)
        entrants.append(Entrant(program=program, limits=Limits(wall=1.1)))
    fitted = folder / "fitted.keras"
    peer = Program(name="Model.fit", argv=peer_command("fit", source, data, fitted, epochs), output=fitted)
    return Contest(
        key="training",
        work=f"{epochs} epochs of 57 batches",
        peer=peer,
        entrants=tuple(entrants),
        reads=(source,),
    )
