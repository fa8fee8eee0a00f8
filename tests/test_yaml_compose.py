import pytest

from modelrecipe.errors import Problems
from modelrecipe.source import parse_source


def refusal(text: str) -> str:
    with pytest.raises(Problems) as raised:
        parse_source(text, "r.yaml")
    return str(raised.value)


def first_message(text: str) -> str:
    return refusal(text).splitlines()[0].removeprefix("r.yaml:")


def test_all_problems_are_told_at_once_in_order():
    text = "a: .nan\nb: 1\nb: !!str 2\n3.5: *_bn\nc: [1\n"
    assert refusal(text) == (
        "r.yaml:1:4: '.nan' is not a finite number; put it in quotes if text is meant\n"
        "  1 | a: .nan\n"
        "    |    ^^^^\n"
        "r.yaml:3:1: key 'b' is given twice, first in line 2; remove one of the two\n"
        "  3 | b: !!str 2\n"
        "    | ^\n"
        "r.yaml:3:4: tag '!!str' is not allowed; write \"!!str\" if text is meant\n"
        "  3 | b: !!str 2\n"
        "    |    ^\n"
        "r.yaml:4:1: key '3.5' is a number, not text; write \"3.5\"\n"
        "  4 | 3.5: *_bn\n"
        "    | ^^^\n"
        "r.yaml:4:6: '*_bn' names no anchor '&_bn' above it; write \"*_bn\" if text is meant\n"
        "  4 | 3.5: *_bn\n"
        "    |      ^^^^\n"
        "r.yaml:5:4: '[' is never closed; write the ']' that ends the list\n"
        "  5 | c: [1\n"
        "    |    ^"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: the file is empty"),
        ("# nothing\n---\n", "1:1: the file is empty"),
        ("a: 1\n---\nb: 2\n", "2:1: the text holds several YAML documents; remove the '---'"),
        ("%YAML 1.1\n---\na: 1", "1:1: directive '%YAML 1.1' is not read; remove the line"),
        ("%YAML 2.0\n---\na: 1", "1:1: directive '%YAML 2.0' is not read; remove the line"),
        ("a: -.inf", "1:4: '-.inf' is not a finite number; put it in quotes if text is meant"),
        ("a: 1e999", "1:4: number '1e999' is too large; stay below 1.8e308"),
        (
            "a: 18446744073709551616",
            "1:4: number '18446744073709551616' does not fit 64 bits; put it in quotes if text is meant",
        ),
        ("a: !!python/name:os.system x", "1:4: tag '!!python/name:os.system' is not allowed; write \""),
        ("a: !foo {b: 1}", "1:4: tag '!foo' is not allowed; write \"!foo\" if text is meant"),
        ("a: !e!foo 1", "1:4: tag '!e!foo' is not allowed; write \"!e!foo\" if text is meant"),
        (
            "<<: {a: 1}",
            "1:1: merge key '<<' is not part of YAML 1.2; write the keys out, or quote it if text is meant",
        ),
        ("{3: 1, '3': 2}", "1:8: key '3' is given twice, first in line 1; remove one of the two"),
        ("0x1F: 1", "1:1: key '0x1F' is a number, not text; write \"0x1F\""),
        ("-1: 1", "1:1: key '-1' is a number, not text; write \"-1\""),
        ("true: 1", "1:1: key 'true' is a boolean, not text; write \"true\""),
        ("null: 1", "1:1: key 'null' is empty, not text; write \"null\""),
        ("? \n: 1", "1:2: a key is empty; write a name before ':'"),
        ("{[a]: 1}", "1:2: a key is a list, not text; quote it if text is meant"),
        ("{{a: b}: 1}", "1:2: a key is a mapping, not text; quote it if text is meant"),
        ("{filters:3}", "1:2: key 'filters:3' has no value; write a space after ':'"),
        ("{a, b: 1}", "1:2: key 'a' has no value; write 'a: VALUE'"),
        ("&a [*a]", "1:5: alias '*a' stands inside what it names; write it out"),
        ("[" * 101, "1:101: the text is nested deeper than 100 levels; flatten it"),
        ("- x\n" * 100_001, "100000:3: the text holds more than 100000 values; make it smaller"),
        ("a: x\u200b\u202ey", "1:6: the text holds U+202E, which cannot be seen; delete it"),
        ("a: \x1b[31m", "1:4: the text holds U+001B, which cannot be seen; delete it"),
        ("a: \ud800", "1:4: the text holds U+D800, which cannot be seen; delete it"),
        ('a: "\\0"', "1:4: an escape writes U+0000, which cannot be seen; remove the escape"),
        ('a: "\\ud83d"', "1:4: an escape writes U+D83D, which cannot be seen; remove the escape"),
        ('a: "\\UFFFFFFFF"', "1:7: a number here is out of range; correct the escape"),
        ("a: >5\nb: 1", "1:4: '>5' begins a block of text, which is empty; write \">5\""),
    ],
)
def test_what_a_reviewed_file_should_not_hold_is_refused(text: str, message: str):
    assert first_message(text).startswith(message)


def test_an_excerpt_cannot_steer_a_terminal():
    assert "\x1b" not in refusal("a: \x1b[31m")


def test_problems_stop_at_fifty():
    with pytest.raises(Problems) as raised:
        parse_source("- !a 1\n" * 1000)
    assert len(raised.value.problems) == 50


def test_billion_laughs_are_refused_at_once():
    rows = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
    message = first_message("\n".join(rows))
    assert message == "5:10: the aliases copy more than 10000 values; write out what is needed"


def test_aliases_of_a_long_text_are_bounded():
    text = f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 20)}]"
    assert first_message(text) == "2:41: the aliases copy more than 10000 values; write out what is needed"


def test_aliases_cannot_nest_deeper_than_the_text_may():
    rows = ["- &a0 " + "[" * 60 + "]" * 60, "- &a1 " + "[" * 60 + "*a0" + "]" * 60]
    assert first_message("\n".join(rows)) == "2:67: the text is nested deeper than 100 levels; flatten it"
