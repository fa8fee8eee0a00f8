"""A selector as the command line has it."""

from __future__ import annotations

from modelrecipe.errors import Problems, UsageError
from modelrecipe.fields import Schema, class_schema, read
from modelrecipe.recipe import iter_problems
from modelrecipe.schema.misfit import problems
from modelrecipe.selector import Selector
from modelrecipe.source import parse_scalar


def read_selector(text: str) -> Selector:
    """A selector as the command line has it: a glob, or a mapping as `{type: Conv2D, last: 3}`.

    Raises:
        Problems: the text is no YAML, or does not fit the schema of selectors.
    """
    data = parse_scalar(text, "--layers") if text.lstrip().startswith("{") else text
    definitions: dict[str, Schema] = {}
    schema = class_schema(Selector, definitions=definitions)
    found = list(problems(data, {**schema, "definitions": definitions}))
    if not found:
        selector = read(Selector, data)
        found = list(iter_problems(selector))
        if not found:
            return selector
    raise Problems(UsageError(error.message, hint=error.hint, key="--layers", at=error.at) for error in found)
