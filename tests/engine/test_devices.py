"""What a recipe may say of devices, and what plan and run say to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from modelrecipe.errors import RecipeError, TrainingError
from modelrecipe.live.training.strategies import refuse_unshared
from modelrecipe.steps.train import Train
from modelrecipe.training.keras_objects import Loss
from tests.live.training.plain import network, training, write_data
from tests.running import SOURCE, refuse, refuse_plan, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

LOAD = f"load: {SOURCE}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    network().save(tmp_path / SOURCE)
    write_data(tmp_path)
    return tmp_path


def shared(distribute: str, batch_size: int = 4, more: str = "") -> str:
    return training(f"epochs: 1, batch_size: {batch_size}{more}, distribute: {{{distribute}}}")


def planned(folder: Path, distribute: str) -> tuple[str, ...]:
    return write_recipe(folder, LOAD, shared(distribute)).plan().steps[1].notes


@pytest.mark.parametrize(
    ("distribute", "said"),
    [
        ("strategy: mirrored", "on all devices of this machine"),
        ("strategy: mirrored, devices: ['CPU:0', 'CPU:1']", "on 2 devices: CPU:0, CPU:1"),
        ("strategy: mirrored, devices: ['GPU:0']", "on 1 device: GPU:0"),
        ("strategy: multi_worker", "on the machines that TF_CONFIG names"),
    ],
)
def test_a_plan_says_on_what_is_trained(folder: Path, distribute: str, said: str) -> None:
    assert said in planned(folder, distribute)


@pytest.mark.parametrize(
    ("distribute", "said"),
    [
        ("strategy: mirrored, devices: [cpu]", "'cpu' is no name of a device; write its kind and number, as 'GPU:0'"),
        (
            "strategy: mirrored, devices: ['GPU:01']",
            "'GPU:01' is no name of a device; write its kind and number, as 'GPU:0'",
        ),
        ("strategy: mirrored, devices: ['GPU:0', 'GPU:0']", "'GPU:0' is named twice; name each once"),
        ("strategy: multi_worker, devices: ['GPU:0']", "multi_worker takes its machines from TF_CONFIG"),
    ],
)
def test_devices_that_cannot_be_meant_are_refused(folder: Path, distribute: str, said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        write_recipe(folder, LOAD, shared(distribute))

    (error,) = getattr(refused.value, "problems", None) or (refused.value,)
    assert (f"{error.message}; {error.hint}" if error.hint else error.message) == said


def test_batches_that_devices_cannot_share_are_refused_by_a_plan(folder: Path) -> None:
    error = refuse_plan(folder, LOAD, shared("strategy: mirrored, devices: ['GPU:0', 'GPU:1']", 5))

    assert (error.message, error.hint) == (
        "batches of 5 cannot be shared evenly by 2 devices",
        "write a batch_size that 2 divides",
    )


def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    error = refuse(folder, LOAD, shared("strategy: mirrored, devices: ['TPU:0', 'TPU:7']"))

    assert error.message == "there is no device 'TPU:0'"
    assert error.hint is not None
    assert error.hint.startswith("there are: CPU:0")


def test_several_machines_need_names(folder: Path) -> None:
    error = refuse(folder, LOAD, shared("strategy: multi_worker"))

    assert error.message == "multi_worker needs the machines in TF_CONFIG, which is not set"


def test_several_machines_need_a_process_of_their_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow runs here already."""
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["ada:1"]}, "task": {"type": "worker", "index": 0}}')
    error = refuse(folder, LOAD, shared("strategy: multi_worker"))

    assert (error.message, error.hint) == (
        "multi_worker must be set up before TensorFlow runs",
        "carry the recipe out in a process of its own, with 'modelrecipe run'",
    )


@pytest.mark.parametrize(
    ("settings", "examples", "said"),
    [
        (
            {"batch_size": 5},
            10,
            "batches of 5 cannot be shared evenly by 3 devices; write a batch_size that 3 divides",
        ),
        (
            {},
            8,
            "the last batch of an epoch has 2 examples for 3 devices; write drop_remainder: true, or another batch_size",
        ),
        (
            {},
            7,
            "the last batch of an epoch has 1 example for 3 devices; write drop_remainder: true, or another batch_size",
        ),
        ({"jit": True}, 9, "jit compiles for one device, but there are several; leave jit or distribute out"),
        (
            {"loss": {"out": Loss(class_="MeanSquaredError", config={"reduction": "sum"})}},
            9,
            "a loss with reduction 'sum' cannot be shared by several devices; leave the reduction out",
        ),
        (
            {"loss": (Loss(class_="MeanSquaredError", config={"reduction": None}),)},
            9,
            "a loss with reduction 'none' cannot be shared by several devices; leave the reduction out",
        ),
    ],
)
def test_what_devices_cannot_do_as_one_is_refused(settings: dict[str, Any], examples: int, said: str) -> None:
    with pytest.raises(TrainingError) as refused:
        refuse_unshared(trained(**settings), examples, 3)

    assert str(refused.value) == said


@pytest.mark.parametrize(("settings", "examples"), [({}, 9), ({}, 6), ({"drop_remainder": True}, 7)])
def test_what_devices_can_do_as_one_is_taken(settings: dict[str, Any], examples: int) -> None:
    refuse_unshared(trained(**settings), examples, 3)


def trained(**settings: Any) -> Train:
    return Train(**{"data": None, "loss": Loss(class_="mse"), "epochs": 1, "batch_size": 6, **settings})
