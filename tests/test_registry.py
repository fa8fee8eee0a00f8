from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint

import pytest

from modelrecipe import registry
from modelrecipe.errors import UsageError
from modelrecipe.steps import BUILT_IN


@pytest.fixture
def offered(monkeypatch):
    """Steps that another package offers, for the time of a test."""

    def offer(name: str, value: str) -> None:
        entry = EntryPoint(name, value, registry.ENTRY_POINTS)
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
        registry.steps.cache_clear()

    yield offer
    registry.steps.cache_clear()


def test_the_built_in_steps_come_first_in_their_order():
    assert list(registry.steps())[: len(BUILT_IN)] == [step.word for step in BUILT_IN]


def test_a_step_of_another_package_is_known_by_its_word(offered):
    offered("shrink", "tests.offered_step:Shrink")
    assert registry.steps()["shrink"].__name__ == "Shrink"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "no_such_package.step:Shrink",
            "the step 'shrink' of another package cannot be imported: No module named 'no_such_package'; repair or"
            " remove the package that offers 'no_such_package.step:Shrink'",
        ),
        ("json:dumps", "the entry point 'json:dumps' is no step; name a subclass of modelrecipe.Step"),
        (
            "modelrecipe.steps.freeze:Freeze",
            "the step 'freeze' of 'modelrecipe.steps.freeze:Freeze' stands there already; give it another word",
        ),
    ],
)
def test_what_is_no_new_step_is_refused(offered, value: str, message: str):
    offered("shrink", value)
    with pytest.raises(UsageError) as refused:
        registry.steps()
    assert str(refused.value) == message
