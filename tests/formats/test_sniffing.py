"""What is recognised by content, and what is refused with which words."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from modelrecipe.checkpoint import Checkpoint
from modelrecipe.errors import FileError
from modelrecipe.formats import FORMATS, can_rewrite, read_checkpoint, rewrite
from modelrecipe.graph import Layer
from modelrecipe.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "tiny",
        "trainable": True,
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "Dense",
                "config": {"name": "head", "trainable": True, "units": 2, "use_bias": True},
                "registered_name": None,
                "build_config": {"input_shape": [None, 3]},
            }
        ],
        "build_input_shape": [None, 3],
    },
    "registered_name": None,
    "build_config": {"input_shape": [None, 3]},
}
KERNEL = np.arange(6, dtype="float32").reshape(3, 2)
BIAS = np.array([1.5, -2.5], dtype="float32")


def write_weights(target: Path, fill: Callable[[h5py.Group], None] | None = None) -> None:
    """The weight file of the tiny model, as Keras 3 lays it out."""
    with h5py.File(target, "w") as file:
        file.create_group("vars").attrs["name"] = "tiny"
        own = file.create_group("layers/dense/vars")
        own.attrs["name"] = "head"
        if fill:
            fill(own)
        else:
            own["0"], own["1"] = KERNEL, BIAS


def write_zip(
    target: Path,
    *,
    config: object = CONFIG,
    fill: Callable[[h5py.Group], None] | None = None,
    compression: int = zipfile.ZIP_STORED,
    without: str = "",
) -> Path:
    weights = target.with_name("weights.tmp")
    write_weights(weights, fill)
    members = {
        "metadata.json": json.dumps({"keras_version": "3.15.1"}).encode(),
        "config.json": config if isinstance(config, bytes) else json.dumps(config).encode(),
        "model.weights.h5": weights.read_bytes(),
    }
    weights.unlink()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in members.items():
            if name != without:
                archive.writestr(name, content)
    return target


def refusal(path: Path, format: str | None = None) -> str:
    with pytest.raises(FileError) as refused:
        read_checkpoint(path, format)
    assert refused.value.place is None
    return str(refused.value)


def numbers(checkpoint: Checkpoint) -> list[np.ndarray]:
    return [tensor.read() for tensor in checkpoint.weights.of("head")]


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.zip", "m"])
def test_zip_is_recognised_whatever_its_suffix(tmp_path: Path, name: str) -> None:
    checkpoint = read_checkpoint(write_zip(tmp_path / name))
    assert checkpoint.origin is not None
    assert (checkpoint.origin.format, checkpoint.origin.writer) == ("keras_zip", "Keras 3.15.1")
    np.testing.assert_array_equal(numbers(checkpoint)[0], KERNEL)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_read_alike(tmp_path: Path, compression: int) -> None:
    kernel, bias = numbers(read_checkpoint(write_zip(tmp_path / "m.keras", compression=compression)))
    np.testing.assert_array_equal(kernel, KERNEL)
    np.testing.assert_array_equal(bias, BIAS)


def test_compressed_file_is_rewritten_uncompressed(tmp_path: Path) -> None:
    packed = read_checkpoint(write_zip(tmp_path / "packed.keras", compression=zipfile.ZIP_DEFLATED))
    plain = read_checkpoint(write_zip(tmp_path / "plain.keras"))
    rewrite(packed, tmp_path / "a.keras", "keras")
    rewrite(plain, tmp_path / "b.keras", "keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_zip_with_something_before_it_is_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras")
    path.write_bytes(b"PK-prefix" + path.read_bytes())
    np.testing.assert_array_equal(numbers(read_checkpoint(path))[0], KERNEL)


def test_chunked_big_endian_and_half_precision_datasets_are_read(tmp_path: Path) -> None:
    def fill(own: h5py.Group) -> None:
        own.create_dataset("0", data=KERNEL, chunks=(1, 2), compression="gzip")
        own.create_dataset("1", data=BIAS.astype(">f4"))

    checkpoint = read_checkpoint(write_zip(tmp_path / "m.keras", fill=fill))
    kernel, bias = numbers(checkpoint)
    np.testing.assert_array_equal(kernel, KERNEL)
    assert bias.dtype == np.dtype("float32")
    assert bias.dtype.isnative
    np.testing.assert_array_equal(bias, BIAS)
    kernel, bias = (tensor.map(lambda values: values * 2) for tensor in checkpoint.weights.of("head"))
    edited = Checkpoint(model=checkpoint.model, weights=Weights({"head": (kernel, bias)}), origin=checkpoint.origin)
    rewrite(edited, tmp_path / "out.keras", "keras")
    kernel, bias = numbers(read_checkpoint(tmp_path / "out.keras"))
    np.testing.assert_array_equal(kernel, KERNEL * 2)
    np.testing.assert_array_equal(bias, BIAS * 2)


def test_missing_file_names_the_near_ones(tmp_path: Path) -> None:
    write_zip(tmp_path / "model.keras")
    path = tmp_path / "modle.keras"
    assert refusal(path) == f"'{path}' does not exist; did you mean 'model.keras'?"


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.touch()
    assert refusal(path) == f"'{path}' is empty"


def test_unknown_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(b"version https://git-lfs")
    assert refusal(path) == f"'{path}' is neither a Keras zip nor HDF5; it begins with b'version '"


def test_directories_are_refused_for_what_they_are(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"'{tmp_path}' is a directory, not a model file"
    (tmp_path / "config.json").touch()
    text = f"'{tmp_path}' is a directory, but no Keras model: it holds no 'model.weights.h5'"
    assert refusal(tmp_path) == text
    (tmp_path / "saved_model.pb").touch()
    assert refusal(tmp_path) == f"'{tmp_path / 'saved_model.pb'}' is damaged: it holds no graph"


def test_truncated_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras")
    path.write_bytes(path.read_bytes()[:-100])
    assert refusal(path) == f"'{path}' is a truncated or damaged zip (file is not a zip file)"


def test_truncated_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write_weights(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert refusal(path) == f"'{path}' is truncated: its HDF5 part is longer than what is there"


def test_damaged_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write_weights(path)
    content = bytearray(path.read_bytes())
    content[8:96] = bytes(88)
    path.write_bytes(content)
    assert refusal(path).startswith(f"'{path}' is damaged: HDF5 reports '")
    assert "\n" not in refusal(path)


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_zip_of_something_else_is_refused(tmp_path: Path, member: str) -> None:
    path = write_zip(tmp_path / "m.keras", without=member)
    assert refusal(path) == f"'{path}' is a zip, but no Keras model: it holds no '{member}'"


def test_config_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras", config=b"{oops")
    assert refusal(path) == (
        f"'{path}': 'config.json' in it is not JSON "
        "(Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"
    )
    assert refusal(write_zip(path, config=[])) == f"'{path}': 'config.json' in it is not a JSON object"


def test_config_of_no_model_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras", config={"a": 1})
    assert refusal(path) == (f"'{path}': the model's configuration is not one that Keras writes (KeyError('config'))")


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02", content.rindex(b"config.json") - 60) + 8] |= 1
    path.write_bytes(content)
    assert refusal(path) == f"'{path}' is refused: 'config.json' in it is encrypted"


def test_bomb_is_refused(tmp_path: Path) -> None:
    def fill(own: h5py.Group) -> None:
        own["0"] = np.zeros((5_000_000,), "float32")

    path = write_zip(tmp_path / "m.keras", fill=fill, compression=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("model.weights.h5")
    assert refusal(path) == (
        f"'{path}' is refused: 'model.weights.h5' in it unfolds from {info.compress_size} to {info.file_size} bytes"
    )


def test_hdf5_bomb_is_refused(tmp_path: Path) -> None:
    def fill(own: h5py.Group) -> None:
        own.create_dataset("0", (1 << 31,), "float32", chunks=(1 << 20,), compression="gzip")

    path = write_zip(tmp_path / "m.keras", fill=fill)
    assert refusal(path) == (
        f"'{path}' is refused: 'layers/dense/vars/0' in it unfolds to {1 << 33} bytes, "
        "of which next to nothing is stored"
    )


def linked(link: object) -> Callable[[h5py.Group], None]:
    def fill(own: h5py.Group) -> None:
        own["0"] = link

    return fill


def external(own: h5py.Group) -> None:
    own.create_dataset("0", (3, 2), "float32", external=[("/etc/passwd", 0, 24)])


def virtual(own: h5py.Group) -> None:
    own.create_virtual_dataset("0", h5py.VirtualLayout((3, 2), "float32"))


def cyclic(own: h5py.Group) -> None:
    own["0"] = own


def texts(own: h5py.Group) -> None:
    own["0"] = ["a", "b"]


def nothing(own: h5py.Group) -> None:
    own["0"] = h5py.Empty("f4")


def bare_bytes(own: h5py.Group) -> None:
    own["0"] = KERNEL.astype("float16").view("V2")


@pytest.mark.parametrize(
    ("fill", "what"),
    [
        (linked(h5py.SoftLink("/vars")), "is a soft link"),
        (linked(h5py.ExternalLink("other.h5", "/vars")), "is an external link"),
        (external, "keeps its numbers in an external file"),
        (virtual, "is a virtual dataset"),
        (cyclic, "is linked from two places"),
        (texts, "holds 'object' instead of numbers"),
        (nothing, "holds 'nothing' instead of numbers"),
        (bare_bytes, "holds bytes of an unknown type '|V2'"),
        (linked(np.dtype("f4")), "is neither a group nor a dataset"),
    ],
)
def test_unsafe_or_unknown_contents_of_hdf5_are_refused(
    tmp_path: Path, fill: Callable[[h5py.Group], None], what: str
) -> None:
    path = write_zip(tmp_path / "m.keras", fill=fill)
    assert refusal(path) == f"'{path}' is refused: 'layers/dense/vars/0' in it {what}"


def test_name_that_is_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    def fill(own: h5py.Group) -> None:
        own[b"\xff\n"] = KERNEL

    path = write_zip(tmp_path / "m.keras", fill=fill)
    where = "layers/dense/vars/\ufffd\\x0a"
    assert refusal(path) == f"'{path}' is refused: '{where}' in it has a name that is no printable text"


def test_weights_without_architecture_are_refused(tmp_path: Path) -> None:
    hint = "name one, as load: {architecture: model.json, weights: ...}"
    path = tmp_path / "m.weights.h5"
    write_weights(path)
    assert refusal(path) == f"'{path}' holds weights only, no architecture; {hint}"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["dense"]
    assert refusal(path) == f"'{path}' holds weights only, no architecture; {hint}"


def test_other_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["x"] = KERNEL
    assert refusal(path) == f"'{path}' is HDF5, but no Keras model: it has no attribute 'model_config'"


def test_architecture_without_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(CONFIG)
    assert refusal(path) == f"'{path}' holds an architecture, but no weights (no group 'model_weights')"


def test_layer_whose_weights_are_missing_is_refused(tmp_path: Path) -> None:
    config = json.loads(json.dumps(CONFIG).replace("Dense", "Conv2D"))
    path = write_zip(tmp_path / "m.keras", config=config)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_group("vars")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, (tmp_path / "w.h5").read_bytes() if name.endswith(".h5") else content)
    assert refusal(path) == f"'{path}' holds no weights of layer 'head'"


def test_asked_format_must_be_what_the_file_is(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras")
    assert read_checkpoint(path, "keras") == read_checkpoint(path)
    assert refusal(path, "h5") == f"'{path}' is a Keras zip, but 'h5' is asked for; leave 'format' out"


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras")
    text = "format 'kers' cannot be read; known are 'keras', 'h5', 'saved_model', 'tfsm'; did you mean 'keras'?"
    assert refusal(path, "kers") == text


def test_file_that_changes_after_it_was_opened_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras")
    checkpoint = read_checkpoint(path)
    write_zip(path, fill=linked(np.zeros((3, 2), "float32")))
    text = f"'{path}' changed while it was read; run again"
    for attempt in (
        lambda: checkpoint.weights.of("head")[0].read(),
        lambda: rewrite(checkpoint, tmp_path / "out.keras", "keras"),
    ):
        with pytest.raises(FileError) as refused:
            attempt()
        assert str(refused.value) == text


def test_damaged_weights_are_noticed_when_they_are_copied(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras")
    content = bytearray(path.read_bytes())
    content[content.index(KERNEL.tobytes()) + 3] ^= 1
    path.write_bytes(content)
    checkpoint = read_checkpoint(path)
    with pytest.raises(FileError) as refused:
        rewrite(checkpoint, tmp_path / "out.keras", "keras")
    assert str(refused.value) == f"'{path}' is damaged: the checksum of its weights does not match"


def test_what_can_be_rewritten(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write_zip(tmp_path / "m.keras"))
    assert [name for name in FORMATS if can_rewrite(checkpoint, name)] == ["keras", "weights_h5", "weights_json"]
    rewired = Checkpoint(
        model=checkpoint.model, weights=checkpoint.weights, origin=checkpoint.origin, is_restructured=True
    )
    assert not any(can_rewrite(rewired, name) for name in FORMATS)
    homeless = Checkpoint(model=Layer(name="m", class_name="Functional"), weights=Weights())
    assert not any(can_rewrite(homeless, name) for name in FORMATS)
    with pytest.raises(FileError) as refused:
        rewrite(checkpoint, tmp_path / "out.h5", "h5")
    assert str(refused.value) == "the model cannot be written as 'h5' without building it first"


SHARED = [
    "art_extraction_mnist.keras",
    "kepler_mlp.keras",
    "dl4j_lambda.h5",
    "eegnet_8_2_weights.h5",
    "fer_mini_xception_102.hdf5",
    "gender_mini_xception.hdf5",
    "mlperf_ad01_autoencoder.h5",
    "mlperf_resnet8_cifar10.h5",
    "mlperf_vww_mobilenet.h5",
    "sleap_unet_bottomup.h5",
    "sleap_unet_centroid.h5",
    "sleap_unet_single_robot.h5",
    "stm_har_cnn.h5",
    "stm_miniresnetv2_pooled_backbone.h5",
    "stm_yamnet256_backbone.h5",
]


def index(folder: Path) -> dict[str, dict[str, str]]:
    lines = (folder / "INDEX.tsv").read_text().splitlines()
    heads = lines[0].split("\t")
    return {line.split("\t")[0]: dict(zip(heads, line.split("\t"), strict=False)) for line in lines[1:]}


def attempt(path: Path) -> Checkpoint | FileError:
    try:
        return read_checkpoint(path)
    except FileError as error:
        return error


STATE_OF_METRICS = {"sudoku_digits.keras": 4}
"""Numbers in the weight file that are no parameters of the model, yet counted in the index."""


def test_every_public_file_is_read_or_refused_in_one_line(shared_models: Path) -> None:
    listed = index(shared_models)
    results = {name: attempt(shared_models / name) for name in listed}
    refused = {name: str(error) for name, error in results.items() if isinstance(error, FileError)}
    assert {name for name, text in refused.items() if "\n" in text or name not in text} == set()
    read = {name: result for name, result in results.items() if isinstance(result, Checkpoint)}
    assert {name: checkpoint.parameters() for name, checkpoint in read.items()} == {
        name: int(listed[name]["params"]) - STATE_OF_METRICS.get(name, 0) for name in read
    }
    assert len(listed) == 31
    assert set(SHARED) <= read.keys()


@pytest.mark.parametrize("name", SHARED)
def test_public_file_is_rewritten_byte_for_byte_where_it_was_not_edited(
    shared_models: Path, tmp_path: Path, name: str
) -> None:
    checkpoint = read_checkpoint(shared_models / name, mends=False)
    format = "keras" if name.endswith(".keras") else "h5"
    rewrite(checkpoint, tmp_path / "out", format)
    if format == "h5":
        assert (tmp_path / "out").read_bytes() == (shared_models / name).read_bytes()
        return
    with zipfile.ZipFile(tmp_path / "out") as new, zipfile.ZipFile(shared_models / name) as old:
        assert {member: new.read(member) for member in new.namelist()} == {
            member: old.read(member) for member in old.namelist()
        }


def test_reading_needs_no_keras() -> None:
    code = "import sys, modelrecipe.formats; print([m for m in sys.modules if m in ('keras', 'tensorflow')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
