"""What happens to the weights while a model is trained: an entry of `during`, with ordinary steps inside."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Annotated, Any

from modelrecipe.errors import LanguageError, did_you_mean
from modelrecipe.fields import Doc, Rule, Schema, class_schema, fields_of, read, rules_of
from modelrecipe.frozen import frozen
from modelrecipe.step import FLAGS, LIVE, NAMES, SETTINGS, STRUCTURE, VALUES, Step
from modelrecipe.training.moments import PERIOD, POINT, Course, Period, Point, Shape, Timing, ramped

_INSIDE = VALUES | FLAGS | SETTINGS
_SAYS_PERIOD = Rule({"pattern": PERIOD, "patternErrorMessage": "must be a period, as '100 batches' or '2 epochs'"})
_SAYS_POINT = Rule({"pattern": POINT, "patternErrorMessage": "must be a moment, as 'epoch 3', 'batch 700' or 'start'"})


@frozen
class InnerStep:
    """A step inside another one.

    Args:
        word: the step's word.
        step: the step.
    """

    word: str
    step: Step

    @classmethod
    def own_schema(cls, definitions: dict[str, Schema]) -> Schema:
        """One of the steps that may stand inside a training."""
        words = _words()
        for word, step in words.items():
            name = f"step_{word}"
            if name not in definitions:
                definitions[name] = {}
                definitions[name] = {**class_schema(step, definitions=definitions), "description": step.summary()}
        return {
            "title": "step",
            "type": "object",
            "properties": {word: {"$ref": f"#/definitions/step_{word}"} for word in words},
            "refused": _refused(words),
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }

    @classmethod
    def own_reading(cls, data: Mapping[str, Any]) -> InnerStep:
        """A step from data that fit its schema."""
        ((word, value),) = data.items()
        return cls(word=word, step=read(_words()[word], value))


def _refused(words: Iterable[str]) -> dict[str, tuple[str, str]]:
    """What is said of each step that may not stand inside a training, and of keys that stand beside a step outside."""
    from modelrecipe import registry

    hint = f"write it before or behind 'train'; inside may stand: {', '.join(words)}"
    others = {word: step for word, step in registry.steps().items() if not is_inner(step)}
    found = {word: (f"'{word}' cannot stand inside a training: {_reason(step)}", hint) for word, step in others.items()}
    beside = {key: (f"a step inside a training has no '{key}'", f"remove '{key}'") for key in ("id", "when")}
    return {
        **found,
        **beside,
        "description": ("a step inside a training has no 'description'", "write a comment, as # ..."),
    }


def _reason(step: type[Step]) -> str:
    """Why a step may not stand inside a training."""
    for touch, reason in (
        (STRUCTURE, "it changes the structure of the model"),
        (LIVE, "it runs the model itself"),
        (NAMES, "it changes names"),
    ):
        if step.touches & touch:
            return reason
    return "it changes neither weights nor flags nor settings"


def _words() -> Mapping[str, type[Step]]:
    from modelrecipe import registry

    return {word: step for word, step in registry.steps().items() if is_inner(step)}


def is_inner(step: type[Step]) -> bool:
    """Whether a step may stand inside a training: it changes numbers, flags or settings, and nothing else."""
    return bool(step.touches) and not step.touches & ~_INSIDE


@frozen
class Ramp:
    """A value that changes with time; where it ends is what the step itself says."""

    from_: Annotated[float, Doc("the value when the range begins")]
    shape: Annotated[Shape, Doc("how it goes to the value in the step")] = "linear"


@frozen
class During:
    """Steps that are carried out while the model is trained.

    `every` counts batches, or ends of epochs, over the whole training; `at` is one moment: after a batch, before the
    first batch of an epoch, at the start or the end.
    """

    do: Annotated[tuple[InnerStep, ...], Doc("steps that touch values, flags or settings, in order")]
    every: Annotated[str | None, Doc("again and again, as '100 batches' or '2 epochs'"), _SAYS_PERIOD] = None
    at: Annotated[str | None, Doc("once: 'batch 700', 'epoch 3' (before it), 'start' or 'end'"), _SAYS_POINT] = None
    from_: Annotated[str | None, Doc("where `every` begins to count; there it happens too"), _SAYS_POINT] = None
    until: Annotated[str | None, Doc("the last moment; an epoch's end"), _SAYS_POINT] = None
    ramp: Annotated[Mapping[str, Ramp], Doc("parameters of the steps that grow or shrink over the range")] = field(
        default_factory=dict
    )

    def problems(self) -> Iterator[LanguageError]:
        """One of `every` and `at`; ramps that name numbers of a step."""
        if (self.every is None) == (self.at is None):
            yield LanguageError("needs either 'every' or 'at'", hint="say when, as every: 100 batches")
        if self.at is not None:
            for key in ("from_", "until", "ramp"):
                if getattr(self, key):
                    name = key.rstrip("_")
                    yield LanguageError(f"'{name}' belongs to 'every'", hint=f"remove '{name}'", at=(name,))
        for name in self.ramp:
            if not any(_is_number(inner.step, name) for inner in self.do):
                steps = [inner.step for inner in self.do]
                known = {item.key for step in steps for item in fields_of(type(step)) if _is_number(step, item.key)}
                hint = did_you_mean(name, known) or f"numbers that they have: {', '.join(sorted(known)) or 'none'}"
                yield LanguageError(f"no step of 'do' has a number '{name}'", hint=hint, at=("ramp", name))
            for inner in self.do:
                yield from _unfit(inner.step, name, self.ramp[name].from_)

    @property
    def timing(self) -> Timing:
        """When."""
        return Timing(
            at=Point.read(self.at) if self.at is not None else None,
            every=Period.read(self.every) if self.every is not None else None,
            begin=Point.read(self.from_) if self.from_ is not None else None,
            end=Point.read(self.until) if self.until is not None else None,
        )

    def steps_at(self, time: int, course: Course) -> tuple[InnerStep, ...]:
        """The steps with the values of that time."""
        if not self.ramp:
            return self.do
        # The last time that comes has the goal, even if the range goes on for a part of a period.
        first, last = self.timing.range(course)[0], self.timing.last(course)
        progress = (time - first) / (last - first) if last > first else 1.0
        return tuple(replace(inner, step=self._ramped(inner.step, progress)) for inner in self.do)

    def _ramped(self, step: Step, progress: float) -> Step:
        values = {
            item.attribute: ramped(self.ramp[item.key].shape, self.ramp[item.key].from_, goal, progress)
            for item in fields_of(type(step))
            if item.key in self.ramp and isinstance(goal := getattr(step, item.attribute), int | float)
        }
        return replace(step, **values)


def _unfit(step: Step, name: str, first: float) -> Iterator[LanguageError]:
    """Why a parameter of a step cannot begin with a value."""
    rules = next((rules_of(item.hint) for item in fields_of(type(step)) if item.key == name), {})
    bounds = {
        "minimum": (operator.ge, "at least"),
        "maximum": (operator.le, "at most"),
        "exclusiveMinimum": (operator.gt, "more than"),
        "exclusiveMaximum": (operator.lt, "less than"),
    }
    for key, (holds, words) in bounds.items():
        if key in rules and not holds(first, rules[key]):
            yield LanguageError(f"must be {words} {rules[key]}, not {first:g}", at=("ramp", name, "from"))


def _is_number(step: Step, name: str) -> bool:
    attribute = next((item.attribute for item in fields_of(type(step)) if item.key == name), None)
    value = getattr(step, attribute) if attribute else None
    return isinstance(value, int | float) and not isinstance(value, bool)
