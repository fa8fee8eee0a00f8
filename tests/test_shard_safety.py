"""Whatever ends a run, a list of shards and its shards are the old set or the new one, whole; and no other file goes."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import keras
import numpy as np
import pytest

from modelrecipe.errors import FileError, RecipeError
from modelrecipe.formats.keras_zip.shard_set import ShardSet, refuse_foreign, shard_set
from modelrecipe.formats.keras_zip.shard_writing import index_text
from modelrecipe.formats.keras_zip.shards import files_of, read
from tests.killing import killed_writes, leftovers, run_on_full_disk, start
from tests.running import contents, refuse, refuse_plan, run, same_bits, told, write_recipe

WIDTH = 1000
LIST, LOCK = "out.weights.json", "out.weights.json.lock.json"


def steps(factor: float, size: str = "5MB") -> tuple[str, ...]:
    rescale = f"rescale: {{layers: '*', factor: {factor}}}"
    load = "load: {architecture: model.json, weights: w.weights.h5}"
    return load, rescale, f"save: {{path: {LIST}, shard_size: {size}, force: true}}"


def network(width: int = WIDTH, count: int = 4) -> keras.Model:
    layers = [keras.layers.Dense(width, name=f"dense_{number}") for number in range(count)]
    return keras.Sequential([keras.Input((width,)), *layers])


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    model = network()
    (folder / "model.json").write_text(model.to_json())
    model.save_weights(folder / "w.weights.h5")
    return folder


@pytest.fixture
def folder(large: Path, tmp_path: Path) -> Path:
    for name in ("model.json", "w.weights.h5"):
        os.link(large / name, tmp_path / name)
    return tmp_path


def numbers(index: Path) -> dict[str, bytes]:
    return {entry.path: np.asarray(entry.source()).tobytes() for entry in read(index)[0].below()}


@pytest.mark.slow
def test_a_set_that_is_killed_anywhere_is_the_old_one_or_the_new_one(folder: Path):
    old, new = kill_at_random(folder, times=20, seed=4)
    assert old > 0 < new, "the moments are spread over the whole write"


def kill_at_random(folder: Path, *, times: int, seed: int) -> tuple[int, int]:
    """Kill runs at random moments of their write; says how often the old set stood there then, and how often the new.

    They differ in every number, and in how many shards they have.
    """
    write_recipe(folder, *steps(0.25, "9MB")).run(force=True)
    kept = {name: content for name, content in contents(folder).items() if name.startswith("out")}
    old = numbers(folder / LIST)
    write_recipe(folder, *steps(0.5)).run(force=True)
    new = numbers(folder / LIST)

    def bring_back() -> None:
        for path in folder.glob("out*"):
            path.unlink()
        for name, content in kept.items():
            (folder / name).write_bytes(content)

    seen = {"old": 0, "new": 0}
    for _ in killed_writes(folder, times=times, seed=seed, reset=bring_back):
        found = numbers(folder / LIST)
        assert found in (old, new), "the set is torn"
        network().load_weights(folder / LIST)
        seen["old" if found == old else "new"] += 1
    write_recipe(folder, *steps(0.5)).run(force=True)
    assert leftovers(folder) == []
    assert numbers(folder / LIST) == new
    write_recipe(folder, *steps(0.5)).run(force=True, locked=True)
    return seen["old"], seen["new"]


def test_a_list_that_a_killed_run_was_about_to_put_in_place_goes_with_the_next_one(folder: Path):
    run(folder, *steps(0.25))
    (folder / f".modelrecipe-0a1b2c3d-{LIST}").write_text("{}")
    (folder / f".modelrecipe-notes-{LIST}").write_text("somebody's")
    run(folder, *steps(0.5))
    assert leftovers(folder) == [f".modelrecipe-notes-{LIST}"]


def test_two_runs_at_once_end_whole(folder: Path):
    write_recipe(folder, *steps(0.5))
    one, other = start(folder, "-q"), start(folder, "-q")
    said = [process.communicate()[0] for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), said
    assert leftovers(folder) == []
    before, after = network(), network()
    before.load_weights(folder / "w.weights.h5")
    after.load_weights(folder / LIST)
    for a, b in zip(before.weights, after.weights, strict=True):
        assert same_bits(a.numpy() * np.float32(0.5), b.numpy())


@pytest.mark.parametrize("kilobytes", [0, 1, 4500])
def test_a_full_disk_leaves_the_old_set(folder: Path, kilobytes: int):
    run(folder, *steps(0.25))
    before = {name: content for name, content in contents(folder).items() if name != "recipe.yaml"}
    write_recipe(folder, *steps(0.5, "9MB"))
    done = run_on_full_disk(folder, kilobytes * 1000)
    assert "cannot be written: no space is left; free some space or write elsewhere" in done.stderr
    assert done.returncode == 1
    assert {name: content for name, content in contents(folder).items() if name != "recipe.yaml"} == before


def test_a_smaller_set_leaves_no_shard_of_the_larger_one(folder: Path):
    run(folder, *steps(0.25, "5MB"))
    assert len(files_of(folder / LIST)) == 4
    (folder / "out_00009.weights.h5").write_bytes(b"somebody's")
    run(folder, *steps(0.5, "1GB"))
    assert sorted(name for name in contents(folder) if name.startswith("out")) == [
        LIST,
        LOCK,
        "out_00000.weights.h5",
        "out_00009.weights.h5",
    ]


@pytest.mark.parametrize("number", [0, 3])
def test_a_file_that_is_only_called_like_a_shard_is_never_replaced(folder: Path, number: int):
    epoch = folder / f"out_{number:05}.weights.h5"
    epoch.write_bytes(b"the weights of an epoch")
    text = (
        f"5:18: save.path: '{epoch}' exists, which is no shard of '{LIST}' but has the name of one; move it away, or"
        " write another file"
    )
    assert told(refuse_plan(folder, *steps(0.5), force=True)) == text
    assert told(refuse(folder, *steps(0.5), force=True)) == text


def test_a_set_that_exists_needs_force(folder: Path):
    run(folder, *steps(0.5))
    write_recipe(folder, *steps(0.5)[:2], f"save: {LIST}")
    error = refuse(folder, *steps(0.5)[:2], f"save: {LIST}")
    assert told(error) == f"5:11: save.path: '{LIST}' exists; pass --force, or write force: true"


@pytest.mark.parametrize(
    ("saves", "said"),
    [
        (
            ["save: {path: out.json, format: weights_json}"],
            "5:18: save.path: 'out.json' has no name that shards can take theirs from; end it in .weights.json",
        ),
        (
            ["save: {path: out.keras, shard_size: 2GB}"],
            "5:41: save.shard_size: 'out.keras' is not written in shards; save to .weights.json, or leave 'shard_size'"
            " out",
        ),
        (
            ["save: {path: out.weights.json, shard_size: much}"],
            "5:48: save.shard_size: 'much' is no size of a shard; write it as 2GB, 500MB or 1.5GiB",
        ),
        (
            ["save: out.weights.json", "save: out_00000.weights.h5"],
            "6:11: save.path: 'out_00000.weights.h5' and 'out.weights.json', which another step writes, would be a list of"
            " shards and one of them; give them other names",
        ),
        (
            ["save: out_00001.weights.h5", "save: out.weights.json"],
            "6:11: save.path: 'out.weights.json' and 'out_00001.weights.h5', which another step writes, would be a list of"
            " shards and one of them; give them other names",
        ),
        (
            ["save: link.weights.json"],
            "5:11: save.path: 'link.weights.json' is a link, beside which its shards would be looked for; write another"
            " file",
        ),
    ],
)
def test_where_no_set_can_be_is_refused(folder: Path, saves: list[str], said: str):
    (folder / "elsewhere").mkdir()
    (folder / "link.weights.json").symlink_to("elsewhere/w.weights.json")
    assert without_excerpt(refuse(folder, *steps(0.5)[:2], *saves), folder) == said


def without_excerpt(error: RecipeError, folder: Path) -> str:
    """What is told, of errors that the runner places and of those that the text itself shows."""
    return told(error).partition("\n")[0].replace(f"{folder / 'recipe.yaml'}:", "")


def test_the_source_is_never_one_of_the_new_shards(folder: Path):
    (folder / "w.weights.h5").rename(folder / "out_00000.weights.h5")
    error = refuse(folder, "load: {architecture: model.json, weights: out_00000.weights.h5}", *steps(0.5)[1:])
    assert "'out.weights.json' and 'out_00000.weights.h5', which is an input of the recipe" in error.message


# The moments between the moves, one by one


def made(folder: Path, name: str, *shards: bytes) -> Path:
    """A list with its shards, of which nothing but the names counts here."""
    folder.mkdir(exist_ok=True)
    names = [f"{name.removesuffix('.weights.json')}_{number:05}.weights.h5" for number in range(len(shards))]
    for shard, content in zip(names, shards, strict=True):
        (folder / shard).write_bytes(content)
    (folder / name).write_text(index_text({f"/layers/{shard}/vars": [shard] for shard in names}, 1))
    return folder / name


def held(index: Path) -> list[bytes]:
    return [path.read_bytes() for path in files_of(index)]


def test_the_set_is_whole_before_and_after_every_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = made(tmp_path / "there", LIST, b"a", b"b", b"c")
    new = made(tmp_path / "new", LIST, b"A", b"B")
    seen: list[list[bytes]] = []

    def watched(act):
        def watch(*args, **options):
            seen.append(held(target))
            assert target.with_name("out_00000.weights.h5").exists()
            result = act(*args, **options)
            seen.append(held(target))
            return result

        return watch

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, watched(getattr(Path, name)))
    monkeypatch.setattr(os, "link", watched(os.link))
    with shard_set(target) as files:
        files.place(new)
        new.replace(target)
    assert {tuple(found) for found in seen} == {(b"a", b"b", b"c"), (b"A", b"B")}
    assert sorted(contents(target.parent)) == [LIST, "out_00000.weights.h5", "out_00001.weights.h5"]
    assert held(target) == [b"A", b"B"]


def test_what_fails_before_the_list_appears_leaves_nothing(tmp_path: Path):
    target = made(tmp_path / "there", LIST, b"a")
    before = contents(target.parent)
    new = made(tmp_path / "new", LIST, b"A", b"B")

    def interrupted() -> None:
        with shard_set(target) as files:
            files.place(new)
            assert len(leftovers(target.parent)) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert contents(target.parent) == before


@pytest.mark.parametrize("has_old", [True, False])
def test_what_a_run_left_that_was_killed_before_its_list_appeared_goes(has_old: bool, tmp_path: Path):
    target = made(tmp_path / "there", LIST, b"a", b"b") if has_old else tmp_path / "there" / LIST
    target.parent.mkdir(exist_ok=True)
    killed(target, made(tmp_path / "new", LIST, b"A", b"B"))
    assert len(leftovers(target.parent)) == 2
    newer = made(tmp_path / "newer", LIST, b"1", b"2")
    with shard_set(target) as files:
        files.place(newer)
        newer.replace(target)
    assert sorted(contents(target.parent)) == [LIST, "out_00000.weights.h5", "out_00001.weights.h5"]
    assert held(target) == [b"1", b"2"]


def killed(target: Path, new: Path, *, after_list: bool = False) -> None:
    """A run that ends after its shards were placed, or after its list was."""
    with ExitStack() as stack:
        ShardSet(target, stack).place(new)
        if after_list:
            new.replace(target)


def test_a_set_under_hidden_names_is_whole_and_gives_way_to_the_next(tmp_path: Path):
    target = made(tmp_path / "there", LIST, b"a", b"b", b"c")
    killed(target, made(tmp_path / "new", LIST, b"A"), after_list=True)
    assert held(target) == [b"A"]
    newer = made(tmp_path / "newer", LIST, b"1", b"2", b"3", b"4")
    with shard_set(target) as files:
        files.place(newer)
        newer.replace(target)
    assert held(target) == [b"1", b"2", b"3", b"4"]
    assert len(contents(target.parent)) == 5


def test_a_file_system_without_second_names_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    target, new = made(tmp_path / "there", LIST, b"a"), made(tmp_path / "new", LIST, b"A", b"B")
    with shard_set(target) as files:
        files.place(new)
        new.replace(target)
    assert held(target) == [b"A", b"B"]
    assert len(contents(target.parent)) == 3


@pytest.mark.parametrize(
    "text", ["", "[]", '{"weight_map": 3}', '{"weight_map": {"/a/vars": ["../x", 3, "other.h5"]}}']
)
def test_a_list_that_is_none_makes_no_file_a_shard(text: str, tmp_path: Path):
    (tmp_path / LIST).write_text(text)
    (tmp_path / "out_00000.weights.h5").write_bytes(b"mine")
    with pytest.raises(FileError, match="which is no shard of"):
        refuse_foreign(tmp_path / LIST, 1)
    refuse_foreign(tmp_path / "more.weights.json", 3)
