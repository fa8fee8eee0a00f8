"""`run --read-back`: what stands on the disk is read for the proof, not what was sent there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modelrecipe import new_file
from modelrecipe.engine.digest import TensorDigests
from modelrecipe.errors import ProofError
from modelrecipe.formats.hdf5.tensors import ContiguousSource
from modelrecipe.new_file import NewFile
from tests import zoo
from tests.running import refuse, run, told

if TYPE_CHECKING:
    from pathlib import Path

HALVE = "rescale: {layers: '*', weights: kernel, factor: 0.5}"


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that keeps a byte of the numbers otherwise than it was given."""
    close = NewFile.close

    def closed(file: NewFile) -> None:
        if not file.closed:
            place = file.seek(0, 2) // 2
            close(file)
            with file._path.open("rb+") as again:
                again.seek(place)
                byte = again.read(1)
                again.seek(place)
                again.write(bytes([byte[0] ^ 1]))

    monkeypatch.setattr(NewFile, "close", closed)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("large", [1, new_file.LARGE], ids=["past the page cache", "through the page cache"])
def test_what_the_disk_holds_is_read_for_the_proof(
    ending: str, large: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(new_file, "LARGE", large)
    zoo.ZOO["residual"]().save(tmp_path / f"m.{ending}")
    read: list[str] = []
    of = TensorDigests.of

    def noted(digests: TensorDigests, tensor) -> str:
        source = tensor.source
        if isinstance(source, ContiguousSource) and source not in digests._stored and not tensor.edits:
            read.append(tensor.name)
        return of(digests, tensor)

    monkeypatch.setattr(TensorDigests, "of", noted)
    steps = (f"load: m.{ending}", HALVE, f"save: {{path: o.{ending}, force: true}}")
    sent = run(tmp_path, *steps)
    assert read == []
    again = run(tmp_path, *steps, read_back=True)
    assert "kernel" in read
    assert again.outputs[0].proof == sent.outputs[0].proof


@pytest.mark.usefixtures("faulty")
def test_a_zip_that_holds_something_else_is_told(tmp_path: Path):
    zoo.ZOO["residual"]().save(tmp_path / "m.keras")
    error = refuse(tmp_path, "load: m.keras", HALVE, "save: o.keras", read_back=True)
    assert isinstance(error, ProofError)
    assert (
        told(error)
        == "5:11: save: 'o.keras' does not hold what was written to it; its disk or the memory is faulty: write elsewhere"
    )


@pytest.mark.usefixtures("faulty")
def test_a_tensor_that_holds_something_else_is_told(tmp_path: Path):
    import keras

    inputs = keras.Input((64,))
    keras.Model(inputs, keras.layers.Dense(512, name="wide")(inputs)).save(tmp_path / "m.h5")
    error = refuse(tmp_path, "load: m.h5", HALVE, "save: o.h5", read_back=True)
    assert isinstance(error, ProofError)
    assert "'wide/kernel' is not what the steps make it" in told(error)
