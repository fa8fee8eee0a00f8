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
