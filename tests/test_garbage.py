"""No garbage is looked for while a run makes what stays, and afterwards it is as it was."""

from __future__ import annotations

import gc

import pytest

from modelrecipe.garbage import uncollected


def test_nothing_is_collected_inside_and_all_is_as_before_afterwards():
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_was_made_inside_is_not_gone_through_at_once():
    generations: list[int] = []

    def note(phase: str, facts: dict[str, int]) -> None:
        if phase == "start":
            generations.append(facts["generation"])

    gc.callbacks.append(note)
    try:
        with uncollected():
            made = [[] for _ in range(2 * gc.get_threshold()[0])]
        del made
    finally:
        gc.callbacks.remove(note)
    assert generations == []


@pytest.mark.skipif(gc.get_freeze_count() > 0, reason="something else has frozen objects")
def test_what_is_frozen_stays_so():
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with uncollected():
            pass
        assert 0 < gc.get_freeze_count() <= frozen
    finally:
        gc.unfreeze()


def test_an_error_inside_changes_nothing_about_it():
    with pytest.raises(ZeroDivisionError), uncollected():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_who_collects_nothing_goes_on_so():
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
