import pytest

from modelrecipe.errors import Problems
from modelrecipe.source import parse_source


def first_message(text: str) -> str:
    with pytest.raises(Problems) as raised:
        parse_source(text, "r.yaml")
    return str(raised.value).splitlines()[0].removeprefix("r.yaml:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1", "2:1: a tab cannot indent YAML; use spaces"),
        ("a:\tb", "1:3: a tab cannot separate words in YAML; use spaces"),
        ("a: @x", "1:4: '@' cannot begin a value; write \"@x\""),
        ("a: %x", "1:4: '%' cannot begin a value; write \"%x\""),
        ("a: b: c # d", "1:4: a value holds a second ': '; quote the whole value: write \"b: c\""),
        ("a: 1\n  b: 2", "2:3: key 'b' stands below a value that is not a mapping; align it with its siblings"),
        ("load:x\nsave: y", "2:1: the line above has no space after ':'; write 'load: x' there"),
        ("a: {b: ${x}}", "1:8: variable '${x}' inside '{}' needs quotes; write \"${x}\""),
        ("a: [y-${x}, 1]", "1:5: variable '${x}' inside '[]' needs quotes; write \"y-${x}\""),
        ("a: {b: c/${x}/d ${y}, e: 1}", "1:8: variable '${x}' inside '{}' needs quotes; write \"c/${x}/d ${y}\""),
        ("a: {${x}: 1}", "1:5: variable '${x}' inside '{}' needs quotes; write \"${x}\""),
        ("a: [${x}, 1]", "1:5: variable '${x}' inside '[]' needs quotes; write \"${x}\""),
        ("a: [1, 2\nb: 3", "1:4: '[' is never closed; write the ']' that ends the list"),
        ("a: {b: 1", "1:4: '{' is never closed; write the '}' that ends the mapping"),
        (
            "a: {b: 1 c: 2}",
            "1:11: expected ',' or '}' in the mapping that begins in line 1, found ':'; "
            "add the ',' or '}' before it, or quote the text",
        ),
        ("a: 'b\n", "1:4: a quote is never closed; end the text with '"),
        (
            'a: "C:\\models"',
            r"1:7: '\m' is no escape in double quotes; write '\\' for a backslash, or use single quotes",
        ),
        (
            "params: > 1e5",
            "1:9: '>' begins a block of text on the next lines, but more follows on its own line; write \"> 1e5\"",
        ),
        ("layers: *bn*", "1:9: '*bn*' is read as a YAML alias, and is not one; write \"*bn*\" if text is meant"),
        (
            "layers: **/bn_*",
            "1:9: '**/bn_*' is read as a YAML alias, and is not one; write \"**/bn_*\" if text is meant",
        ),
        ("a: &", "1:4: '&' is read as a YAML anchor, and is not one; write \"&\" if text is meant"),
        ("a: 1\nfoo\nb: 2", "2:1: 'foo' has no ': ' after it; write 'key: value', or quote the text"),
        (
            "a: - b",
            "1:4: a list item '- ' cannot begin in the line of its key; "
            "begin the list in the next line, or write [a, b]",
        ),
        (
            "- a\nb: 1",
            "2:1: expected a list item '- ', found 'b'; align it with the '-' of line 1, or indent it below an item",
        ),
        (
            "a:\n  - b\n c: 1",
            "3:2: the indentation of 'c' fits no level above it; align it with line 1 to continue there",
        ),
        (
            "steps:\n- load: x\n  - save: y",
            "3:3: the indentation of '-' fits no level above it; align it with the '-' of its siblings",
        ),
        ("a: ? b", "1:4: '?' cannot stand here, where YAML reads it as the start of a key; quote the text"),
        ("a: 'b' c", "1:8: 'c' stands behind a closing quote; quote the whole value"),
        ("a: b\n  ]: 1", "2:3: key ']' stands below a value that is not a mapping; align it with its siblings"),
        ("a: ]", "1:4: expected a value, found ']'; write the value, or quote it"),
        ("[[", "1:3: expected a value, found the end of the text; write the value, or quote it"),
        (" - a\n- b", "2:1: '-' stands behind the end of the document; align it with the lines above it"),
    ],
)
def test_broken_yaml_is_explained(text: str, message: str):
    assert first_message(text) == message
