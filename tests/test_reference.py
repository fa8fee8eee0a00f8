"""The generated files are fresh, and the reference knows every step."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelrecipe.documentation import step_entry, type_in_words
from modelrecipe.errors import UsageError
from modelrecipe.reference import built_in, reference_page, stale_files, step_page, steps_table

ROOT = Path(__file__).resolve().parent.parent


def test_generated_files_are_fresh():
    stale = [str(path.relative_to(ROOT)) for path, _ in stale_files(ROOT)]
    assert stale == [], "run: python -m modelrecipe.reference"


def test_the_table_has_one_row_for_each_step_and_include():
    assert len(steps_table().splitlines()) == len(built_in()) + 3


@pytest.mark.parametrize("word", [*built_in(), "include"])
def test_each_step_is_documented(word: str):
    entry = step_entry(word, built_in())
    assert entry.summary.endswith(".")
    assert entry.example.startswith(f"- {word}:")
    assert entry.parameters
    assert all(parameter.doc for parameter in entry.parameters)
    assert step_page(word) in reference_page() + "\n"


def test_a_page_in_full():
    assert (
        step_page("freeze")
        == """\
### freeze

Exclude the selected layers from training.

Flags are set on leaf layers: a selected model stands for all layers inside it. A frozen BatchNormalization also
stays in inference mode (Keras, `BatchNormalization.trainable`). No number changes, and no layer that was not
selected changes its effective state.

A bare value is short for `layers`.

Touches: flags.

```yaml
- freeze: {layers: {until: block4_pool}}
```

| parameter | type | default | meaning |
| --- | --- | --- | --- |
| `layers` | [selector](#selector) | required | which layers |
"""
    )


def test_only_steps_that_a_scalar_completes_say_so():
    scalars = {word: step_entry(word, built_in()).scalar for word in built_in()}
    expected = {
        "load",
        "remove",
        "freeze",
        "unfreeze",
        "save",
        "average",
        "merge_lora",
        "swa",
        "ema",
        "weight_decay",
        "bn_reestimate",
        "keep",
    }
    assert {word for word, key in scalars.items() if key} == expected


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "boolean"}, "true or false"),
        ({"enum": ["keep", "fresh"]}, "`keep` or `fresh`"),
        ({"enum": list(range(20))}, "one of 20 names"),
        ({"allOf": [{"$ref": "#/definitions/LayerSpec"}]}, "layer spec"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "integer or text"),
        ({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}, "text, or a list of them"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integers"),
        ({"type": "array", "items": {"$ref": "#/definitions/Penalty"}}, "list of penalties"),
        ({"type": "array", "items": {"$ref": "#/definitions/During"}}, "list of during"),
        ({"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, "list, each integer or null"),
        ({}, "anything"),
    ],
)
def test_types_in_words(schema: dict[str, object], words: str):
    assert type_in_words(schema) == words


def test_an_unknown_step_is_refused_with_the_nearest():
    with pytest.raises(UsageError) as caught:
        step_entry("freze", built_in())
    assert str(caught.value) == "there is no step 'freze'; did you mean 'freeze'?"
