"""Damaged and hostile files: one clear error each, in bounded time and memory, and nothing is executed or written."""

from __future__ import annotations

import json
import os
import random
import resource
import stat
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from modelrecipe.errors import FileError, RecipeError
from modelrecipe.formats import read_checkpoint
from modelrecipe.formats.extent import Extent
from modelrecipe.formats.hdf5 import global_heap
from tests.formats.test_sniffing import BIAS, CONFIG, KERNEL, refusal, write_zip

if TYPE_CHECKING:
    from collections.abc import Iterable

MUTATIONS = 400
SECONDS = 120
MEGABYTES = 300


def with_members(path: Path, members: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    """A copy of the tiny model's zip with further members."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def write_hdf5(path: Path, config: object = CONFIG, **attributes: Any) -> Path:
    """The tiny model as Keras 2 writes it into an HDF5 file."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = attributes.get("layer_names", [b"head"])
        own = group.create_group("head")
        own.attrs["weight_names"] = attributes.get("weight_names", [b"head/kernel:0", b"head/bias:0"])
        own["head/kernel:0"], own["head/bias:0"] = KERNEL, BIAS
    return path


def test_the_untouched_files_open(tmp_path: Path) -> None:
    for path in (write_zip(tmp_path / "m.keras"), write_hdf5(tmp_path / "m.h5")):
        assert len(read_checkpoint(path).weights.of("head")) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "m.keras"
    os.mkfifo(pipe)
    hint = "save the model to a file first"
    assert refusal(pipe) == f"'{pipe}' is neither a file nor a directory; {hint}"
    device = Path("/dev/zero")
    assert refusal(device) == f"'{device}' is neither a file nor a directory; {hint}"


@pytest.mark.parametrize("name", ["../evil", "assets/../../evil", "/etc/evil", "assets\\..\\..\\evil", "C:\\evil"])
def test_members_that_lead_out_of_the_zip_are_refused(tmp_path: Path, name: str) -> None:
    path = with_members(write_zip(tmp_path / "m.keras"), [(name, b"x")])
    assert refusal(path) == f"'{path}' is refused: its member '{name}' leads out of the folder it is unpacked into"
    assert [item.name for item in tmp_path.iterdir()] == ["m.keras"]


def test_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match="Duplicate name"):
        with_members(path, [("config.json", b"{}")])
    assert refusal(path) == f"'{path}' is refused: it holds 'config.json' 2 times"


def test_symbolic_link_in_a_zip_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(CONFIG))
    path = write_zip(tmp_path / "m.keras", without="config.json")
    info = zipfile.ZipInfo("config.json")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with_members(path, [(info, str(tmp_path / "secret.json").encode())])
    assert refusal(path).startswith(f"'{path}': 'config.json' in it is not JSON (")


def deep(levels: int) -> str:
    return '{"class_name": "Dense", "config": {"a": ' + "[" * levels + "]" * levels + "}}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (deep(200), "is nested deeper than 150 levels"),
        (deep(100_000), "is not JSON ("),
        ("[" + "0," * 1_000_001 + "0]", "holds more than 1000000 values"),
        ('{"a": ' + "9" * 5000 + "}", "is not JSON (Exceeds the limit"),
        ('{"a": "x', "is not JSON (Unterminated string"),
    ],
)
def test_json_that_fills_stack_or_memory_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = write_zip(tmp_path / "m.keras", config=text.encode())
    assert refusal(path).startswith(f"'{path}': 'config.json' in it {what}")
    path = write_hdf5(tmp_path / "m.h5", text)
    assert refusal(path).startswith(f"'{path}': its attribute 'model_config' {what}")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**30, -1, None, "x", [], {}, [[None]]])
@pytest.mark.parametrize("where", ["layers", "units", "name", "class_name", "config", "build_input_shape"])
def test_odd_values_in_a_configuration_are_read_or_refused(tmp_path: Path, where: str, value: Any) -> None:
    config = json.loads(json.dumps(CONFIG))
    layer = config["config"]["layers"][0]
    place = {"layers": config["config"], "build_input_shape": config["config"], "units": layer["config"]}
    place.get(where, layer)[where] = value
    with suppress(RecipeError):
        read_checkpoint(write_zip(tmp_path / "m.keras", config=config))


@pytest.mark.parametrize(
    "names",
    [[b"nowhere"], [b"head/kernel:0"] * 500, [b""], [b"/"], [b"../head/kernel:0"], [b"\xff"]],
)
def test_lists_of_weights_that_lie_are_refused(tmp_path: Path, names: list[bytes]) -> None:
    path = write_hdf5(tmp_path / "m.h5", weight_names=names)
    assert refusal(path).startswith(f"'{path}' ")


def test_groups_in_groups_without_end_are_refused(tmp_path: Path) -> None:
    def fill(own: h5py.Group) -> None:
        own["0"], own["1"] = KERNEL, BIAS
        own.file.create_group("/".join("g" * 200))

    path = write_zip(tmp_path / "m.keras", fill=fill)
    assert refusal(path).endswith("in it is nested deeper than 64 groups")


def test_dataset_that_was_never_written_is_refused_when_large(tmp_path: Path) -> None:
    def fill(own: h5py.Group) -> None:
        own.create_dataset("0", (1 << 27,), "float32", chunks=(1 << 20,))

    path = write_zip(tmp_path / "m.keras", fill=fill)
    assert refusal(path).endswith(f"unfolds to {1 << 29} bytes, of which next to nothing is stored")


def test_references_are_no_numbers(tmp_path: Path) -> None:
    def fill(own: h5py.Group) -> None:
        own["1"] = BIAS
        own.create_dataset("0", data=[own["1"].regionref[:]], dtype=h5py.regionref_dtype)  # type: ignore[union-attr]

    path = write_zip(tmp_path / "m.keras", fill=fill)
    assert refusal(path) == f"'{path}' is refused: 'layers/dense/vars/0' in it holds 'object' instead of numbers"


def test_hdf5_behind_a_user_block_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["x"] = KERNEL
    zeros = bytes(8)
    assert refusal(path) == f"'{path}' is neither a Keras zip nor HDF5; it begins with {zeros!r}"


@pytest.mark.parametrize("reserved", [bytes(3), b"\1\0\0", b"\xff" * 3])
def test_heap_that_libhdf5_would_walk_without_end_is_refused(tmp_path: Path, reserved: bytes) -> None:
    path = write_hdf5(tmp_path / "m.h5")
    content = bytearray(path.read_bytes())
    start = content.index(b"GCOL") + 16
    content[start : start + 16] = bytes(16)
    content[start - 11 : start - 8] = reserved
    path.write_bytes(content)
    assert refusal(path) == (f"'{path}' is damaged: HDF5 reports 'an object in a heap has an impossible length'")


@pytest.mark.parametrize("cut", range(1, len(global_heap.START)))
def test_heap_is_seen_where_reading_ahead_cuts_its_first_bytes(tmp_path: Path, cut: int) -> None:
    path, page = tmp_path / "m.h5", 4096
    path.write_bytes(
        (bytes(page - cut) + global_heap.START + bytes(3) + (1 << 40).to_bytes(8, "little")).ljust(3 * page, b"\1")
    )
    with Extent.whole(path).window() as window:
        window.read(1)  # reads the first page
        window.seek(page - cut)
        with pytest.raises(OSError, match=r"^a heap is longer than the file$"):
            window.read(page)


def test_directory_is_read_like_the_zip(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "folder")
    zipped, unzipped = read_checkpoint(path), read_checkpoint(tmp_path / "folder")
    assert unzipped.model == zipped.model
    assert unzipped.origin is not None
    assert unzipped.origin.format == "keras_folder"
    for one, other in zip(unzipped.weights.of("head"), zipped.weights.of("head"), strict=True):
        np.testing.assert_array_equal(one.read(), other.read())


def test_code_named_in_a_configuration_is_never_run(tmp_path: Path) -> None:
    from tests.running import refuse

    victim = tmp_path / "victim"
    config = json.loads(json.dumps(CONFIG))
    config["config"]["layers"][0]["config"]["activation"] = {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "system",
    }
    config["config"]["layers"][0]["config"]["name"] = f"touch {victim}"
    write_zip(tmp_path / "m.keras", config=config)
    refuse(tmp_path, "load: m.keras", "save: out.h5")
    assert not victim.exists()


def mutated(content: bytes, random: random.Random) -> bytes:
    """A file with some bytes flipped, overwritten, copied elsewhere, or cut off."""
    found = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 4, 8])):
        place = random.randrange(random.choice([4096, len(found)])) % len(found)
        kind = random.randrange(6)
        if kind == 0:
            found[place] ^= 1 << random.randrange(8)
        elif kind == 1:
            found[place : place + 8] = random.choice([0, 255]).to_bytes(1, "little") * 8
        elif kind == 2 and len(found) > 64:
            del found[random.randrange(len(found) // 2, len(found)) :]
        elif kind == 3:
            source = random.randrange(len(found))
            found[place : place + 32] = found[source : source + 32]
        elif kind == 4:
            found[place : place + 8] = random.choice([1, 8, 96, 800, 1 << 31, 1 << 40, (1 << 63) - 1]).to_bytes(
                8, "little"
            )
        else:
            found[place] = random.randrange(256)
    return bytes(found)


def read_mutations(folder: Path) -> None:
    """Read many damaged files; the process ends with an error if one gives anything but a `RecipeError`."""
    sources = [
        write_zip(folder / "stored.keras").read_bytes(),
        write_zip(folder / "packed.keras", compression=zipfile.ZIP_DEFLATED).read_bytes(),
        write_hdf5(folder / "m.h5").read_bytes(),
    ]
    path = folder / "mutated"
    for number in range(MUTATIONS):
        path.write_bytes(mutated(sources[number % len(sources)], random.Random(number)))
        try:
            checkpoint = read_checkpoint(path)
            for tensors in checkpoint.weights.values():
                for tensor in tensors:
                    tensor.read()
        except RecipeError as error:
            if "\n" in str(error):
                raise ValueError(f"mutation {number} is refused in several lines") from error
        except Exception as error:
            raise ValueError(f"mutation {number} is not refused as a damaged file") from error


def test_damaged_files_are_read_or_refused_and_never_hang(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    call = f"from pathlib import Path; from tests.formats.test_hostile import read_mutations; read_mutations(Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", call], cwd=root, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]


def read_bombs(folder: Path) -> None:
    """Read files that are much larger inside than outside; the process ends with an error if memory does not hold."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in sorted(folder.glob("*.keras")):
        try:
            read_checkpoint(path)
        except FileError:
            continue
        raise ValueError(f"{path.name} is not refused")
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    if used > MEGABYTES:
        raise ValueError(f"{used} MB")


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    pairs = b'{"a":' + b"[{},0]" * 1 + b"," * 400_000_0 + b"}"
    write_zip(tmp_path / "commas.keras", config=pairs, compression=zipfile.ZIP_DEFLATED)
    write_zip(tmp_path / "spaces.keras", config=b" " * (1 << 27), compression=zipfile.ZIP_DEFLATED)
    write_zip(tmp_path / "text.keras", config=b'["' + b"a" * (1 << 25) + b'"]', compression=zipfile.ZIP_STORED)
    write_zip(tmp_path / "dicts.keras", config=b'{"a":[' + b'{"":0},' * 450_000 + b"0]}")
    root = Path(__file__).parents[2]
    call = f"from pathlib import Path; from tests.formats.test_hostile import read_bombs; read_bombs(Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", call], cwd=root, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]
