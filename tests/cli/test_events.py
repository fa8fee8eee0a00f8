"""What happens in trainings, as lines of JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from modelrecipe.cli.events import events_to
from modelrecipe.errors import FileError

FULL = Path("/dev/full")


def test_each_event_is_a_line_behind_what_stands_there(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    heard: list[str] = []
    for _ in range(2):
        with events_to(file, lambda event, facts: heard.append(event)) as tell:
            tell("epoch", {"epoch": 1, "loss": math.nan})
            assert file.read_text(encoding="utf-8").endswith('"epoch": 1, "loss": null}\n'), "as soon as it happens"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [(line["event"], line["loss"]) for line in lines] == [("epoch", None)] * 2
    assert heard == ["epoch", "epoch"]


@pytest.mark.skipif(not FULL.exists(), reason="a device that is full is Linux'")
def test_a_full_disk_is_told_with_the_file():
    with events_to(FULL, None) as tell, pytest.raises(FileError) as caught:
        tell("state", {"batch": 7})
    assert str(caught.value) == "'/dev/full' cannot be written: no space is left; free some space or write elsewhere"
