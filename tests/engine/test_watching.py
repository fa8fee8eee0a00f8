from __future__ import annotations

import io
import sys
import time
from typing import TYPE_CHECKING

import pytest

from modelrecipe.cli.screen import Screen
from modelrecipe.engine import watching
from modelrecipe.engine.watching import SHORT, told, watched
from tests import zoo
from tests.running import run

if TYPE_CHECKING:
    from pathlib import Path


def test_bytes_and_rate_are_told():
    assert told("writing o.keras", 412 * 10**6, 13 * 10**8, 0.5) == "writing o.keras: 412.0 MB of 1.3 GB, 824.0 MB/s"
    assert told("writing o.keras", 412 * 10**6, None, 0.5) == "writing o.keras: 412.0 MB, 824.0 MB/s"
    assert told("writing o.keras", 412 * 10**6, 411 * 10**6, 0.5) == "writing o.keras: 412.0 MB, 824.0 MB/s"


def test_a_growing_file_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching, "_PAUSE", 0.01)
    path, said = tmp_path / "o.keras", list[str]()
    with watched(path, "writing o.keras", SHORT + 1, said.append):
        time.sleep(0.05)
        assert said == []
        path.write_bytes(bytes(5000))
        while not said:
            time.sleep(0.01)
    assert said[0].startswith("writing o.keras: 5.0 kB of 100.0 MB, ")
    count = len(said)
    time.sleep(0.05)
    assert len(said) == count


@pytest.mark.parametrize(("total", "is_wanted"), [(SHORT, True), (SHORT + 1, False)])
def test_short_work_and_unwatched_work_are_not_told(
    total: int, is_wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watching, "_PAUSE", 0.001)
    said = list[str]()
    (tmp_path / "o").write_bytes(b"x")
    with watched(tmp_path / "o", "writing o", total, said.append if is_wanted else None):
        time.sleep(0.03)
    assert said == []


@pytest.mark.parametrize(
    "step", ["rescale: {layers: '*', weights: kernel, factor: 2}", "insert: {after: {role: output}, layer: ReLU}"]
)
def test_a_run_tells_how_far_it_is(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching, "SHORT", 0)
    monkeypatch.setattr(watching, "_PAUSE", 0.0001)
    zoo.ZOO["residual"]().save(tmp_path / "m.keras")
    said, passing = list[str](), list[str]()
    run(tmp_path, "load: m.keras", step, "save: out.keras", progress=said.append, passing=passing.append)
    assert all(text.startswith("writing out.keras: ") and text.endswith("/s") for text in passing)
    assert "writing out.keras" in said
    assert not any("/s" in text for text in said)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_is_told_of_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Screen().progress() as progress:
        assert progress.replace is None
        assert progress.say is not None
        progress.say("writing o.keras")
    assert sys.stderr.getvalue() == "writing o.keras\n"
    with Screen(is_quiet=True).progress() as progress:
        assert (progress.say, progress.replace) == (None, None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Screen(is_plain=True).progress() as progress:
        assert progress.replace is None
    with Screen().progress() as progress:
        assert progress.replace is not None
        progress.replace("writing [red]o.keras: 1.0 GB")
