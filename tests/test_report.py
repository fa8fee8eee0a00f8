"""Reports: exact text of a few, and no line wider than asked for, whatever the names are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from modelrecipe.errors import FileError, Place
from modelrecipe.outcome import Outcome, Output, Proof, Signature, StepOutcome, Totals
from modelrecipe.report import render
from modelrecipe.step import Change, ChangeKind

IMAGE = Signature(name="image", shape=(None, 8, 8, 1), dtype="float32")
BEFORE = Totals(
    layers=14, parameters=9450, trainable=9354, inputs=(IMAGE,), outputs=(Signature(name="head", shape=(None, 10)),)
)
AFTER = replace(BEFORE, parameters=9285, trainable=165, outputs=(Signature(name="head", shape=(None, 5)),))


def change(kind: ChangeKind, layer: str, what: str) -> Change:
    return Change(kind=kind, layer=layer, key=layer, what=what)


def step(number: int, word: str, target: str, *changes: Change, **facts: object) -> StepOutcome:
    place = f"recipe.yaml:{number + 4}"
    return StepOutcome(number=number, word=word, target=target, place=place, changes=changes, **facts)  # type: ignore[arg-type]


FROZEN = tuple(change("~", f"conv_{number}", "frozen") for number in range(12))
STEPS = (
    step(1, "load", "digits.keras", parameters=9450, seconds=0.02),
    step(2, "replace", "head", change("-/+", "head", "Dense → Dense, weights fresh"), parameters=9285, id="new_head"),
    step(3, "freeze", "{until: dropout}", *FROZEN, parameters=9285, description="The backbone stays."),
    step(4, "check", "outputs", parameters=9285, notes=("'head' has shape (None, 5)",), seconds=4.5),
    step(5, "save", "out/five.keras", parameters=9285, seconds=0.1),
)
OUTPUT = Output(path="out/five.keras", format="keras", how="built", size=88900)
PLAN = Outcome(recipe="five", is_plan=True, steps=STEPS, before=BEFORE, after=AFTER, outputs=(OUTPUT,))
RUN = replace(
    PLAN,
    is_plan=False,
    outputs=(replace(OUTPUT, proof=Proof(identical=238, changed=2, fresh=2, removed=2)),),
    locks=("out/five.keras.lock.json",),
    seconds=4.64,
)


def test_a_plan_in_full():
    assert (
        render(PLAN)
        == """\
Plan for five

1 load     digits.keras                                            recipe.yaml:5
2 replace  head  (new_head)                                        recipe.yaml:6
  -/+      head  Dense → Dense, weights fresh
           · 9,450 → 9,285 parameters
3 freeze   {until: dropout}                                        recipe.yaml:7
           The backbone stays.
  ~        conv_0 and 11 more  frozen
4 check    outputs                                                 recipe.yaml:8
           · 'head' has shape (None, 5)
5 save     out/five.keras                                          recipe.yaml:9

              before           after
  layers          14              14
  parameters   9,450           9,285            -165
  trainable    9,354  (99.0%)    165  (1.8%)  -9,189
  input       image (None, 8, 8, 1)
  output      head (None, 10) → head (None, 5)

  writes out/five.keras  keras, built by Keras, about 89 kB

  ~ changed in place   -/+ replaced
Plan: 1 replaced, 12 frozen; nothing was written.
"""
    )


def test_a_run_tells_times_proof_and_lock():
    lines = render(RUN).splitlines()
    assert lines[0] == "Ran five"
    assert lines[2] == "1 load     digits.keras                                   recipe.yaml:5   0.02 s"
    assert lines[-5:] == [
        "  wrote out/five.keras  keras, built by Keras, 88.9 kB",
        "    ✓ 238 of 240 tensors bit-identical, 2 changed as said, 2 fresh, 2 removed",
        "  locked by out/five.keras.lock.json",
        "",
        "Done in 4.64 s: 1 replaced, 12 frozen; 1 file written.",
    ]


def test_what_only_keras_can_tell_is_marked():
    unknown = replace(AFTER, parameters=None, trainable=None, outputs=(Signature(name="head", shape=None),))
    text = render(replace(PLAN, after=unknown))
    assert "  parameters   9,450               ?\n" in text
    assert "  output      head (None, 10) → head ?\n" in text
    assert "  ? only Keras can tell: add --exact\n" in text


def test_a_plan_that_stops_says_so():
    stopped = replace(STEPS[1], changes=(), is_unknown=True, notes=("VGG16 is built by Keras",))
    text = render(Outcome(recipe="vgg", is_plan=True, steps=(stopped,)))
    assert text.endswith("Plan: no layer changed; the rest is known with --exact; nothing was written.\n")


def test_problems_stand_in_the_plan():
    text = render(replace(PLAN, problems=(FileError("'out/five.keras' exists", hint="pass --force"),)))
    assert "A run would refuse:\n  'out/five.keras' exists; pass --force\n" in text


def test_verbose_lists_every_change():
    assert render(PLAN, verbose=True).count("  frozen\n") == 12


def test_three_equal_changes_are_listed_and_four_are_counted():
    three = Outcome(recipe="r", is_plan=True, steps=(step(1, "freeze", "x", *FROZEN[:3]),))
    four = Outcome(recipe="r", is_plan=True, steps=(step(1, "freeze", "x", *FROZEN[:4]),))
    assert render(three).count("  frozen\n") == 3
    assert "  conv_0 and 3 more  frozen\n" in render(four)


def test_a_step_that_matched_and_changed_nothing_says_so():
    idle = step(1, "freeze", "x", matched=("a", "b"))
    assert "· 2 layers matched, nothing to change\n" in render(Outcome(recipe="r", is_plan=True, steps=(idle,)))


def test_all_identical_is_one_claim():
    proof = Proof(identical=14, changed=0, fresh=0, removed=0)
    assert "✓ all 14 tensors bit-identical\n" in render(replace(RUN, outputs=(replace(OUTPUT, proof=proof),)))


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (Proof(identical=1, changed=0, fresh=0, removed=0), "the 1 tensor bit-identical"),
        (Proof(identical=0, changed=2, fresh=0, removed=0), "all 2 tensors changed as said"),
        (Proof(identical=0, changed=1, fresh=3, removed=0), "the 1 tensor changed as said, 3 fresh"),
        (
            Proof(identical=1, changed=1, fresh=0, removed=2),
            "1 of 2 tensors bit-identical, 1 changed as said, 2 removed",
        ),
        (Proof(identical=0, changed=0, fresh=4, removed=6), "no tensor kept from before, 4 fresh, 6 removed"),
    ],
)
def test_a_proof_claims_no_more_and_no_less_than_it_found(proof: Proof, said: str):
    assert f"    ✓ {said}\n" in render(replace(RUN, outputs=(replace(OUTPUT, proof=proof),)))


def test_what_is_estimated_is_told_without_false_precision():
    planned = replace(OUTPUT, size=1_234_567, memory=600 * 10**6)
    text = render(replace(PLAN, outputs=(planned,)), width=120)
    assert "keras, built by Keras, about 1.2 MB, peak memory about 600 MB\n" in text


def test_control_characters_of_names_do_not_reach_the_terminal():
    evil = step(1, "freeze", "x\x1b[2J", change("~", "a\x1b]0;pwned\x07\nb", "frozen\r"))
    text = render(Outcome(recipe="r\x1b[31m", is_plan=True, steps=(evil,)))
    assert not set(text) & set("\x1b\x07\r")


def test_colour_changes_no_character():
    from rich.text import Text

    colored = render(RUN, color=True)
    assert "\x1b[" in colored
    assert Text.from_ansi(colored).plain.rstrip() == render(RUN).rstrip()


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=0, max_size=150)


@settings(max_examples=60, deadline=None)
@given(name=names, what=names, target=names, place=names, width=st.integers(40, 130), is_plan=st.booleans())
def test_no_line_is_wider_than_asked(name: str, what: str, target: str, place: str, width: int, is_plan: bool):
    one = replace(
        STEPS[1],
        target=target,
        place=place,
        changes=(change("+", name, what), change("-", "b", "removed"), *FROZEN),
        notes=(what,),
        description=target,
        word=name[:20],
    )
    end = Signature(name=name, shape=(None, 5), dtype="float16")
    outcome = Outcome(
        recipe=name,
        is_plan=is_plan,
        steps=(STEPS[0], one),
        before=BEFORE,
        after=replace(AFTER, parameters=10**13, outputs=(end, end), inputs=()),
        outputs=(replace(OUTPUT, path=place, size=None, proof=RUN.outputs[0].proof, exists=True),),
        locks=(place,),
        problems=(FileError(what),),
    )
    for line in render(outcome, width=width).splitlines():
        assert cell_len(line) <= width


def test_a_narrow_terminal_wraps_instead_of_cutting():
    target = "{type: [Conv2D, DepthwiseConv2D], upstream_of: block_13_expand, params: '> 1e5', trainable: true}"
    facts = replace(OUTPUT, size=None, exists=True)
    place = Place("r.yaml", 6, 61, 4, "a" * 60 + "HERE" + "b" * 60)
    problems = (FileError("'out/five.keras' exists", hint="pass --force, or write force: true", place=place),)
    lines = render(
        Outcome(recipe="five", is_plan=True, steps=(step(1, "freeze", target),), outputs=(facts,), problems=problems),
        width=52,
    ).splitlines()
    assert lines == [
        "Plan for five",
        "",
        "1 freeze  {type: [Conv2D,              recipe.yaml:5",
        "            DepthwiseConv2D], upstream_of:",
        "            block_13_expand, params: '> 1e5',",
        "            trainable: true}",
        "",
        "  writes out/five.keras",
        "    keras, built by Keras, in place of an existing",
        "    file",
        "",
        "A run would refuse:",
        "  r.yaml:6:61: 'out/five.keras' exists; pass",
        "  --force, or write force: true",
        "  6 | aaaaaaaaaaaaaaaaaaaaaaaHEREbbbbbbbbbbbbbbbbbbb",
        "    |                        ^^^^",
        "",
        "Plan: no layer changed; nothing was written.",
    ]
