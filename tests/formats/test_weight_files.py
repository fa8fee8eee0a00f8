"""Weight files: containers by content, and what damaged or hostile ones say."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from modelrecipe.errors import FileError
from modelrecipe.formats.architecture_files import read_architecture
from modelrecipe.formats.weights.files import read_weight_file

if TYPE_CHECKING:
    from pathlib import Path


def safetensors(path: Path, header: Any, body: bytes = b"\0" * 16) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + body)
    return path


def tensor(dtype: str = "F32", shape: Any = (2, 2), place: Any = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(place)}


def refusal(path: Path) -> str:
    with pytest.raises(FileError) as found:
        read_weight_file(path)
    return found.value.message.replace(str(path), "FILE")


def test_safetensors_are_listed_in_the_order_of_their_bytes(tmp_path: Path):
    header = {"b": tensor(shape=[2], place=[8, 16]), "__metadata__": {}, "a": tensor(shape=[2, 1], place=[0, 8])}
    body = np.arange(4, dtype="<f4").tobytes()
    found = read_weight_file(safetensors(tmp_path / "w", header, body))
    assert (found.kind, found.match, found.separator) == ("safetensors", "by_name", "/")
    assert [(entry.path, entry.shape, entry.dtype) for entry in found.entries] == [
        ("a", (2, 1), "float32"),
        ("b", (2,), "float32"),
    ]
    assert found.entries[1].source().tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"a": tensor(shape=[4, 4])}, "'a' needs 64 bytes, but stands at 0 to 16"),
        ({"a": tensor(shape=[2**40, 2**40], place=[0, 2**62])}, f"'a' needs {2**82} bytes, but stands at 0 to {2**62}"),
        ({"a": tensor(place=[16, 32])}, "'a' needs 16 bytes, but stands at 16 to 32"),
        ({"a": tensor(shape=[-2, -2])}, "'a' has no shape or no place"),
        ({"a": 3}, "'a' is no JSON object"),
        (
            b"{  ",
            "its header is not JSON (Expecting property name enclosed in double quotes: line 1 column 4 (char 3))",
        ),
    ],
)
def test_a_safetensors_file_that_cannot_be_is_refused(header: Any, said: str, tmp_path: Path):
    path = safetensors(tmp_path / "w", header)
    assert refusal(path) == f"'FILE' is a truncated or damaged safetensors file: {said}"


def test_an_unknown_type_of_safetensors_is_refused(tmp_path: Path):
    path = safetensors(tmp_path / "w", {"a": tensor(dtype="F4")})
    assert refusal(path) == "'FILE' is refused: 'a' in it is of an unknown type 'F4'"


def test_arrays_that_hold_objects_are_refused_and_not_unpickled(tmp_path: Path):
    path = tmp_path / "w.npz"
    np.savez(path, dense=np.array({"0": 1}, dtype=object))
    assert refusal(path) == "'FILE' is refused: 'dense' in it holds Python objects, which only running code could read"


def test_an_array_that_claims_more_than_there_is_is_refused(tmp_path: Path):
    path, header = tmp_path / "w.npz", io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue() + b"\0" * 8)
    assert refusal(path) == "'FILE' is a damaged archive: 'a' in it is not as long as its shape (1000000000000,) says"


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_arrays_are_read_in_either_order(order: Any, write: Any, tmp_path: Path):
    values = np.asarray(np.arange(6, dtype=">f4").reshape(2, 3), order=order)
    write(tmp_path / "w.npz", **{"dense/kernel": values})
    found = read_weight_file(tmp_path / "w.npz")
    assert [(entry.path, entry.shape, entry.dtype) for entry in found.entries] == [("dense/kernel", (2, 3), "float32")]
    assert np.array_equal(found.entries[0].source(), values)


@pytest.mark.parametrize("name", ["../secret.h5", "/etc/passwd", "a/b.h5", "..", "C:\\w.h5", ""])
def test_a_shard_elsewhere_is_refused(name: str, tmp_path: Path):
    path = tmp_path / "w.weights.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": {"/layers/dense/vars": name}}))
    assert refusal(path) == f"'FILE' is refused: it names '{name}' as a shard, which is no file beside it"


def test_a_missing_shard_is_named(tmp_path: Path):
    path = tmp_path / "w.weights.json"
    path.write_text(json.dumps({"weight_map": {"/vars": "w_00000.weights.h5"}}))
    assert refusal(path) == f"'{tmp_path}/w_00000.weights.h5' does not exist"


def test_bare_hdf5_is_a_list_of_names(tmp_path: Path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["dense/kernel"] = np.zeros((2, 3), "f4")
    found = read_weight_file(tmp_path / "w.h5")
    assert (found.kind, found.match, [entry.path for entry in found.entries]) == ("hdf5", "by_name", ["dense/kernel"])


def test_what_holds_no_weights_says_so(tmp_path: Path):
    (tmp_path / "w").write_text("hello, this is text")
    assert refusal(tmp_path / "w") == "'FILE' holds no weights that can be read; it begins with b'hello, t'"
    with h5py.File(tmp_path / "w.h5", "w"):
        pass
    assert refusal(tmp_path / "w.h5") == "'FILE' holds no weights"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "'FILE' is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        ('{"a": 1}', "'FILE' describes no Keras model: it has no 'class_name'"),
        (
            "class_name: !!python/object/apply:os.system [echo]\n",
            "'FILE' is neither a model file nor JSON, and is no YAML of plain data (could not determine a constructor for "
            "the tag 'tag:yaml.org,2002:python/object/apply:os.system')",
        ),
        (
            '{"class_name": "MyModel", "config": {}}',
            "'FILE' lists no layers: 'MyModel' is a subclassed model, of which only code knows more",
        ),
    ],
)
def test_what_is_no_architecture_says_so(text: str, said: str, tmp_path: Path):
    path = tmp_path / "model"
    path.write_text(text)
    with pytest.raises(FileError) as found:
        read_architecture(path)
    assert found.value.message.replace(str(path), "FILE") == said


def test_aliases_without_bound_are_refused(tmp_path: Path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path = tmp_path / "model.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(FileError, match="unfold without bound"):
        read_architecture(path)
