"""Whatever ends a run, its target is the old file or the new one, whole; and nobody's leftovers stay."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from modelrecipe import RecipeError
from modelrecipe.claimed_folder import claimed_folder
from modelrecipe.files import atomic_output
from tests.disks import mounted
from tests.killing import killed_writes, leftovers, run_on_full_disk, start, wait_for
from tests.running import contents, load, refuse, run, same_bits, told, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 1500
"""Of three Dense layers: 27 MB of weights, so that a write has many moments to be killed in."""

HALF, LOCK = "out.keras", "out.keras.lock.json"
STEPS = ("load: m.keras", "rescale: {layers: '*', factor: 0.5}", f"save: {{path: {HALF}, force: true}}")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "m.keras"
    layers = [keras.layers.Dense(WIDTH, name=f"dense_{number}") for number in range(3)]
    keras.Sequential([keras.Input((WIDTH,)), *layers]).save(path)
    return path


@pytest.fixture
def folder(large: Path, tmp_path: Path) -> Path:
    os.link(large, tmp_path / "m.keras")
    return tmp_path


@pytest.mark.slow
def test_a_streamed_write_that_is_killed_anywhere_leaves_the_old_file_or_the_new_one(folder: Path):
    old, new = kill_at_random(folder, times=20, seed=4)
    assert old > 0 < new, "the moments are spread over the whole write"


def kill_at_random(folder: Path, *, times: int, seed: int) -> tuple[int, int]:
    """Kill runs at random moments of their write; says how often the old file stood there then, and how often the new.

    The old file is of another factor, so that old and new differ in every number.
    """
    write_recipe(folder, STEPS[0], "rescale: {layers: '*', factor: 0.25}", STEPS[2]).run(force=True)
    old = (folder / HALF).read_bytes()
    write_recipe(folder, *STEPS).run(force=True)
    new = (folder / HALF).read_bytes()
    seen = {"old": 0, "new": 0}
    for _ in killed_writes(folder, times=times, seed=seed, reset=lambda: (folder / HALF).write_bytes(old)):
        found = (folder / HALF).read_bytes()
        assert found in (old, new), "the target is torn"
        seen["old" if found == old else "new"] += 1
        assert len(leftovers(folder)) <= 2  # of the output and of its lock; those of former runs went
    write_recipe(folder, *STEPS).run(force=True)
    assert leftovers(folder) == []
    assert (folder / HALF).read_bytes() == new
    write_recipe(folder, *STEPS).run(force=True, locked=True)
    return seen["old"], seen["new"]


def test_what_a_killed_run_left_goes_with_the_next_one_and_nothing_else(folder: Path):
    write_recipe(folder, *STEPS)
    process = start(folder, "-q")
    wait_for(lambda: bool(leftovers(folder)), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = leftovers(folder)
    assert left.startswith(".modelrecipe-")
    assert left.endswith("-out.keras")
    (folder / ".modelrecipe-0000-notes").mkdir()
    (folder / ".modelrecipe-00000000-other.keras").mkdir()
    (folder / ".modelrecipe-00000000-out.keras").write_text("a file of somebody's")
    run(folder, *STEPS)
    assert leftovers(folder) == [
        ".modelrecipe-0000-notes",
        ".modelrecipe-00000000-other.keras",
        ".modelrecipe-00000000-out.keras",
    ]


def test_what_a_living_run_is_making_stays(tmp_path: Path):
    with claimed_folder(tmp_path, "out.keras") as own:
        (own / "out.keras").write_text("half")
        with atomic_output(tmp_path / "out.keras") as temporary:
            temporary.write_text("whole")
            assert temporary.parent != own
        assert (own / "out.keras").read_text() == "half"
    assert [path.name for path in tmp_path.iterdir()] == ["out.keras"]


def test_two_runs_at_once_end_whole_and_the_last_one_stays(folder: Path):
    write_recipe(folder, *STEPS)
    one, other = start(folder, "-q"), start(folder, "-q")
    said = [process.communicate()[0] for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), said
    assert sorted(contents(folder)) == ["m.keras", "out.keras", "out.keras.lock.json", "recipe.yaml"]
    assert_halved(folder)
    run(folder, *STEPS, locked=True, force=True)


def assert_halved(folder: Path) -> None:
    before, after = load(folder / "m.keras"), load(folder / HALF)
    for one, other in zip(before.weights, after.weights, strict=True):
        assert same_bits(one.numpy() * np.float32(0.5), other.numpy())


@pytest.mark.parametrize("megabytes", [0, 1, 20])
@pytest.mark.parametrize(
    "step", ["rescale: {layers: '*', factor: 0.5}", "rename: {layers: dense_0, to: x}", "freeze: {layers: dense_0}"]
)
def test_a_full_disk_leaves_what_stood_there(folder: Path, step: str, megabytes: int):
    """Files may not grow beyond a size: writing then fails as it does where no space is left."""
    write_recipe(folder, "load: m.keras", step, STEPS[2])
    (folder / HALF).write_text("old")
    done = run_on_full_disk(folder, megabytes * 10**6)
    assert "cannot be written: no space is left; free some space or write elsewhere" in done.stderr
    assert done.returncode == 1
    assert sorted(contents(folder)) == ["m.keras", "out.keras", "recipe.yaml"]
    assert (folder / HALF).read_text() == "old"


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_a_disk_that_is_really_full_leaves_what_stood_there(kind: str, folder: Path):
    """The source lies elsewhere; on the disk there is room for a part of the file, and in the end as much as before."""
    recipe = write_recipe(folder, *STEPS)
    with mounted(kind, {"ext4": 20, "xfs": 320, "btrfs": 128}[kind], folder) as disk:
        (disk / HALF).write_text("old")
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "other").write_bytes(bytes(max(0, free - (24 << 20))))
        with pytest.raises(RecipeError, match="cannot be written: no space is left"):
            recipe.run(out=disk, force=True)
        assert sorted(path.name for path in disk.iterdir() if path.name != "lost+found") == ["other", HALF]
        assert (disk / HALF).read_text() == "old"


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_a_model_on_a_disk_that_shares_pages_comes_out_as_on_any_other(kind: str, folder: Path):
    step = "rescale: {layers: dense_1, weights: kernel, factor: 0.5}"
    run(folder, STEPS[0], step, STEPS[2])
    with mounted(kind, 512, folder) as disk:
        shutil.copyfile(folder / "m.keras", disk / "m.keras")
        os.sync()
        free = os.statvfs(disk).f_bavail
        run(disk, STEPS[0], step, STEPS[2], read_back=True)
        assert (disk / HALF).read_bytes() == (folder / HALF).read_bytes()
        os.sync()
        taken = (free - os.statvfs(disk).f_bavail) * os.statvfs(disk).f_frsize
        assert taken < 15 << 20, "one kernel of three is new"


READ_ONLY = """
import os, sys
from modelrecipe import RecipeError, load_recipe
recipe = load_recipe("recipe.yaml")
recipe.run(out=sys.argv[1])  # whoever gives up root's rights may not import any more
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    recipe.run(force=True)
except RecipeError as error:
    print(error.message, end="")
"""


@pytest.mark.skipif(os.name != "posix", reason="folders have no such permissions")
def test_a_read_only_folder_is_told(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    write_recipe(folder, *STEPS)
    (folder / HALF).write_text("old")
    folder.chmod(0o555)
    (folder / "m.keras").chmod(0o644)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, tmp_path_factory.mktemp("elsewhere")],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        folder.chmod(0o700)
    assert done.stderr == ""
    assert done.stdout == f"'{HALF}' may not be written: permission denied"
    assert (folder / HALF).read_text() == "old"
    assert leftovers(folder) == []


@pytest.mark.parametrize("link", ["the source itself", "symbolic", "symbolic twice", "through a folder"])
def test_a_target_that_is_the_source_is_refused(folder: Path, link: str):
    target = "link.keras"
    if link == "the source itself":
        target = "m.keras"
    elif link == "symbolic":
        (folder / target).symlink_to("m.keras")
    elif link == "symbolic twice":
        (folder / "between.keras").symlink_to("m.keras")
        (folder / target).symlink_to("between.keras")
    else:
        (folder / "here").symlink_to(".")
        target = "here/m.keras"
    error = refuse(folder, *STEPS[:2], f"save: {{path: {target}, force: true}}")
    assert told(error) == (
        f"5:18: save.path: '{target}' is an input of the recipe, which is never changed; write another file"
    )


def test_a_target_that_is_another_name_of_the_source_leaves_the_source(folder: Path):
    os.link(folder / "m.keras", folder / HALF)
    before = (folder / "m.keras").read_bytes()
    run(folder, *STEPS)
    assert (folder / "m.keras").read_bytes() == before
    assert_halved(folder)
