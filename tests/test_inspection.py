"""What `inspect` tells: nested and shared layers, frozen ones, types, and what only Keras knows."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from modelrecipe import formats
from modelrecipe.cli.selector_option import read_selector
from modelrecipe.errors import Problems
from modelrecipe.inspection import Inspection, inspect_file
from modelrecipe.report.inspection import render_inspection
from modelrecipe.selector import Selector, select
from tests.zoo import ZOO

if TYPE_CHECKING:
    from collections.abc import Callable

DIGITS = Path(__file__).resolve().parent.parent / "recipes" / "digits" / "digits_cnn.keras"


@pytest.fixture
def inspect(save: Callable[..., Path]) -> Callable[[str], Inspection]:
    return lambda name: inspect_file(save(ZOO[name]()))


def test_the_head_of_the_text(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(DIGITS.parent)
    lines = render_inspection(inspect_file(Path("digits_cnn.keras"))).splitlines()
    assert lines[:8] == [
        "digits_cnn.keras",
        "  Keras zip, 89.3 kB, written by Keras 3.15.1, not compiled",
        "  Functional 'digits_cnn', 14 layers, 9,450 parameters, 9,354 trainable (99.0%)",
        "  in: image (None, 8, 8, 1) float32",
        "  out: head (None, 10)",
        "",
        "  #  layer     type                output            params",
        "  0  image     InputLayer          (None, 8, 8, 1)        -",
    ]


def test_nested_layers_stand_below_their_model(inspect: Callable[[str], Inspection]):
    paths = [facts.path for facts in inspect("nested_three_deep").layers]
    assert "level_1/level_2/level_3/dense" in paths
    text = render_inspection(inspect("nested_three_deep"))
    assert "  7        dense     Dense               (None, 4)      20\n" in text


def test_a_nested_model_counts_what_is_inside(inspect: Callable[[str], Inspection]):
    found = {facts.path: facts.parameters for facts in inspect("nested_three_deep").layers}
    assert found["level_1/level_2/level_3"] == 36


def test_shared_layers_say_how_often(inspect: Callable[[str], Inspection]):
    assert max(facts.calls for facts in inspect("shared_twice").layers) == 2
    assert "shared \u00d72\n" in render_inspection(inspect("shared_twice"))


def test_frozen_means_weights_that_could_train(inspect: Callable[[str], Inspection]):
    layers = inspect("wholly_frozen").layers
    assert all(facts.is_frozen == bool(facts.weights) for facts in layers)
    assert any(facts.is_frozen for facts in layers)


def test_other_types_than_float32_are_marked(inspect: Callable[[str], Inspection]):
    assert "mixed_float16" in render_inspection(inspect("mixed_float16"))


def test_the_optimizer_of_a_compiled_model_is_named(inspect: Callable[[str], Inspection]):
    found = inspect("compiled")
    assert found.is_compiled
    assert found.optimizer is not None
    assert f"compiled with {found.optimizer}" in render_inspection(found)


def test_a_subclassed_model_lists_the_layers_of_its_weights(inspect: Callable[[str], Inspection]):
    found = inspect("subclassed")
    assert found.is_opaque
    assert {facts.path for facts in found.layers} == {"head", "norm", "stem"}
    assert "a subclassed model: its file lists no layers" in render_inspection(found)


@pytest.mark.parametrize("name", ["names_with_punctuation", "unicode_names", "transformer_block", "very_long_chain"])
@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_line_is_too_wide(inspect: Callable[[str], Inspection], name: str, width: int):
    text = render_inspection(inspect(name), width=width)
    assert all(cell_len(line) <= width for line in text.splitlines())


def test_selectors_of_the_command_line():
    assert read_selector("conv*") == Selector(name="conv*")
    assert read_selector("{type: Conv2D, last: 3}") == Selector(type_="Conv2D", last=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{typ: Conv2D}", "--layers: unknown key 'typ'; did you mean 'type'?"),
        ("{last: 0}", "--layers: must be at least 1, not 0"),
        ("{regex: '('}", "--layers: '(' is no regular expression: missing ), unterminated subpattern at position 0"),
    ],
)
def test_wrong_selectors_are_usage_errors(text: str, said: str):
    with pytest.raises(Problems) as caught:
        read_selector(text)
    assert (str(caught.value), caught.value.exit_code) == (said, 2)


def without_input_layer(file: Path) -> Path:
    """The Sequential model as Keras writes one that was built without an Input: its layers begin with the first."""
    other = file.with_name("implicit.keras")
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                del config["config"]["layers"][0]
                content = json.dumps(config).encode()
            target.writestr(name, content)
    return other


def test_an_input_that_no_file_lists_is_hidden_from_inspection_and_selectors(save: Callable[..., Path]):
    file = without_input_layer(save(ZOO["sequential"]()))
    checkpoint = formats.read_checkpoint(file)
    assert checkpoint.model.graph is not None
    assert checkpoint.model.graph.implicit_input
    inspection = inspect_file(file)
    assert [facts.path for facts in inspection.layers] == ["first", "head"]
    assert [located.path for located in select(checkpoint, Selector(name="*"))] == ["first", "head"]
    assert select(checkpoint, Selector(role="input"), may_be_empty=True) == []
