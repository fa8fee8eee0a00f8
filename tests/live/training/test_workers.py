"""Two processes that speak over the loopback device train what one process trains; one of them writes."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from keras import layers

from tests.live.training.plain import LOSS, write_data
from tests.live.training.test_strategies import EDITS, network
from tests.running import load, write_recipe

ROOT = Path(__file__).resolve().parents[3]
WIDE = ", distribute: {strategy: multi_worker}"
DATA = "data: {npz: data.npz, validation: 11}"
FIRST = f"train: {{{DATA}, loss: {LOSS}, batch_size: 16, epochs: 2, metrics: accuracy, checkpoints: {{every: 1 epoch}}"
SECOND = f"train: {{{DATA}, loss: {LOSS}, batch_size: 20, steps: 4, logs: {{csv: log.csv}}"
PATIENCE = 300
"""Seconds: a machine that does much else beside takes ten times as long."""
LONG = FIRST.replace("epochs: 2", "epochs: 5000")

pytestmark = pytest.mark.slow


def ports() -> tuple[int, int]:
    """Two that are free now, below those that systems give to connections of others before the workers have them."""
    found: list[int] = []
    while len(found) < 2:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found[0], found[1]


def write_all(folder: Path, train: str, *further: str) -> None:
    folder.mkdir(exist_ok=True)
    write_data(folder, 70)  # 59 for training: the last batch of 16 has 11, which are shared as 5 and 6
    network(layers.BatchNormalization(name="norm", trainable=False)).save(folder / "m.keras")
    write_recipe(folder, "load: m.keras", train, *further, "save: out.keras", head="seed: 3")


def start(folder: Path, *words: str, other: Path | None = None) -> list[subprocess.Popen[str]]:
    """Two workers, the second one in another folder where one is given."""
    addresses = [f"127.0.0.1:{port}" for port in ports()]
    workers = []
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        place = other if other is not None and index else folder
        command = [sys.executable, "-m", "tests.live.training.worker", str(place / "recipe.yaml")]
        command += [str(folder / f"numbers-{index}.npz"), *words]
        environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        workers.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
    return workers


def finish(workers: list[subprocess.Popen[str]]) -> list[str]:
    """What the workers say, when all of them came to the end."""
    said = [worker.communicate(timeout=PATIENCE) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    return [out for out, _ in said]


def shorten(folder: Path) -> None:
    """Leave the first example out, so that there are as many as elsewhere, but others."""
    with np.load(folder / "data.npz") as stored:
        np.savez(folder / "data.npz", **{name: values[1:] for name, values in dict(stored).items()})


def await_states(folder: Path) -> None:
    """Wait until a training has kept two."""
    states = folder / "recipe.training" / "step-2"
    until = time.monotonic() + 120
    while len(list(states.glob("*.state"))) < 2 and time.monotonic() < until:
        time.sleep(0.1)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder in which two workers trained twice, and what their reports say."""
    folder = tmp_path_factory.mktemp("workers")
    evaluate = f"evaluate: {{data: {{npz: data.npz}}, loss: {LOSS}}}"
    write_all(folder, f"{FIRST}{WIDE}{EDITS}}}", f"{SECOND}{WIDE}}}", evaluate)
    return folder, finish(start(folder))


def test_workers_have_the_same_bits(done: tuple[Path, list[str]]) -> None:
    one, other = (np.load(done[0] / f"numbers-{index}.npz") for index in range(2))

    assert len(one.files) > 10
    for name in one.files:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_two_workers_end_with_the_numbers_of_one_process(done: tuple[Path, list[str]], tmp_path: Path) -> None:
    write_all(tmp_path, f"{FIRST}{EDITS}}}", f"{SECOND}}}")
    subprocess.run(
        [sys.executable, "-m", "modelrecipe", "run", str(tmp_path / "recipe.yaml")],
        check=True,
        capture_output=True,
    )
    one, two = load(tmp_path / "out.keras"), load(done[0] / "out.keras")

    for left, right in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(left.numpy(), right.numpy(), rtol=0, atol=1e-5, err_msg=left.path)


def test_only_the_first_worker_writes(done: tuple[Path, list[str]]) -> None:
    folder, (first, second) = done

    assert "on 2 machines; this one writes" in first
    assert "on 2 machines; this is number 1, which writes nothing" in second
    written = {path.name for path in folder.iterdir()}
    assert written >= {"out.keras", "out.keras.lock.json", "log.csv", "recipe.training"}
    assert len((folder / "log.csv").read_text().splitlines()) == 3  # a head, one line for each epoch


def test_a_worker_that_dies_ends_the_others_and_leaves_no_output(tmp_path: Path) -> None:
    write_all(tmp_path, f"{LONG}{WIDE}}}")
    first, second = start(tmp_path)
    await_states(tmp_path)
    second.send_signal(signal.SIGKILL)
    begun = time.monotonic()
    _, said = first.communicate(timeout=PATIENCE)
    second.communicate()

    assert "another worker is gone; look there for the cause, and start all workers anew" in said
    assert time.monotonic() - begun < 100  # at once where a connection breaks, else when its sign of life is missed
    assert not list(tmp_path.glob("out.keras*"))


def test_workers_resume_from_the_state_of_the_first(done: tuple[Path, list[str]]) -> None:
    """Last, because it writes again: the states of the run before are those at the end of its trainings."""
    folder = done[0]
    for name in ("out.keras", "out.keras.lock.json", "numbers-0.npz", "numbers-1.npz"):
        (folder / name).unlink()
    states = sorted((folder / "recipe.training" / "step-2").glob("*.state"))
    states[-1].unlink()
    recipe = folder / "recipe.yaml"
    recipe.write_text("\n".join(line for line in recipe.read_text().splitlines() if "steps: 4" not in line))

    said = finish(start(folder, "resume"))

    assert all("resumed after batch 4" in text for text in said)
    one, other = (np.load(folder / f"numbers-{index}.npz") for index in range(2))
    for name in one.files:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_ctrl_c_on_one_worker_ends_all_after_the_same_batch(tmp_path: Path) -> None:
    write_all(tmp_path, f"{LONG}{WIDE}}}")
    workers = start(tmp_path)
    await_states(tmp_path)
    workers[1].send_signal(signal.SIGINT)
    said = [worker.communicate(timeout=PATIENCE)[1] for worker in workers]

    found = [re.search(r"interrupted after batch (\d+) of 20000", text) for text in said]
    assert all(found), said
    assert len({match[1] for match in found if match is not None}) == 1
    assert not list(tmp_path.glob("out.keras*"))


def test_workers_with_different_data_are_refused(tmp_path: Path) -> None:
    write_all(tmp_path / "one", f"{FIRST}{WIDE}}}")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    write_data(tmp_path / "other", 71)
    shorten(tmp_path / "other")
    said = [worker.communicate(timeout=PATIENCE)[1] for worker in start(tmp_path / "one", other=tmp_path / "other")]

    assert all("the workers have other data or models; give all machines the same files" in text for text in said), said


def test_workers_that_would_resume_apart_are_refused(tmp_path: Path) -> None:
    write_all(tmp_path / "one", f"{FIRST}{WIDE}}}")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    finish(start(tmp_path / "one", other=tmp_path / "other"))
    (tmp_path / "one" / "out.keras").unlink()
    (tmp_path / "one" / "out.keras.lock.json").unlink()
    workers = start(tmp_path / "one", "resume", other=tmp_path / "other")
    said = [worker.communicate(timeout=PATIENCE)[1] for worker in workers]

    refusal = (
        "the workers would resume from different batches; keep the checkpoints in a folder that all machines share"
    )
    assert all(refusal in text for text in said), "\n".join(text[-1500:] for text in said)
    assert not list((tmp_path / "other").glob("out.keras*"))
