import math

import pytest

from modelrecipe.source import parse_scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-1.5E+2", -150.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("012", 12),
        ("-7", -7),
        ("+7", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("00000000000000000000000000000000000000000000000000000000001", 1),
        ("18446744073709551615", 2**64 - 1),
        ("-0x1F", "-0x1F"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1e", "1e"),
        ("٣", "٣"),
        ("12:30:45", "12:30:45"),
        ("2026-11-23", "2026-11-23"),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("null", None),
        ("~", None),
        ("", None),
        ("  ", None),
        ("'1'", "1"),
        ('"null"', "null"),
        ("''", ""),
        ("|\n a\n b\n", "a\nb\n"),
        (">-\n a\n b\n", "a b"),
        ('"\\ud83d\\ude00"', "😀"),
        ("[1, no, 1e3]", [1, "no", 1000.0]),
        ("{units: 5, activation: relu}", {"units": 5, "activation": "relu"}),
        ('{"a":1,"b":[true,null]}', {"a": 1, "b": [True, None]}),
        ("=", "="),
        ("C:\\models\\d", "C:\\models\\d"),
        ("${name}", "${name}"),
        ("block5_*", "block5_*"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object):
    found = parse_scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_negative_zero_stays_a_float():
    assert math.copysign(1, parse_scalar("-0.0")) == -1
