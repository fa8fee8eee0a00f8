from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelrecipe.errors import FileError, Problems
from modelrecipe.source import Source, parse_scalar, parse_source, read_source

RECIPE = """\
version: 1
vars:
  source: {type: path, default: vgg16.keras}  # a comment
steps:
  - load: ${source}
  - replace: {layers: {type: MaxPooling2D, expect: 5}, with: AveragePooling2D}
  - save: "out/größe.keras"
"""


def underlined(source: Source, path: tuple[str | int, ...], *, key: bool = False) -> str:
    place = source.key_place(path) if key else source.place(path)
    return place.text[place.column - 1 : place.column - 1 + place.length]


def test_a_recipe_becomes_plain_data():
    assert parse_source(RECIPE).data == {
        "version": 1,
        "vars": {"source": {"type": "path", "default": "vgg16.keras"}},
        "steps": [
            {"load": "${source}"},
            {"replace": {"layers": {"type": "MaxPooling2D", "expect": 5}, "with": "AveragePooling2D"}},
            {"save": "out/größe.keras"},
        ],
    }


def test_aliases_are_copies():
    data = parse_source("a: &a [1, {b: 2}]\nc: *a\n").data
    assert data == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}
    assert data["a"][1] is not data["c"][1]


def test_an_anchor_may_be_given_again():
    assert parse_source("[&a 1, *a, &a 2, *a]").data == [1, 1, 2, 2]


def test_one_document_may_be_marked():
    assert parse_source("%YAML 1.2\n---\na: 1\n...\n").data == {"a": 1}


# Places


@pytest.mark.parametrize(
    ("path", "line", "column", "token"),
    [
        ((), 1, 1, "version: 1"),
        (("version",), 1, 10, "1"),
        (("vars",), 3, 3, "source: {type: path, default: vgg16.keras}"),
        (("vars", "source", "default"), 3, 33, "vgg16.keras"),
        (("steps",), 5, 3, "- load: ${source}"),
        (("steps", 0), 5, 5, "load: ${source}"),
        (("steps", 1, "replace", "layers"), 6, 23, "{type: MaxPooling2D, expect: 5}"),
        (("steps", 1, "replace", "layers", "expect"), 6, 52, "5"),
        (("steps", 2, "save"), 7, 11, '"out/größe.keras"'),
    ],
)
def test_a_value_has_its_place(path: tuple[str | int, ...], line: int, column: int, token: str):
    source = parse_source(RECIPE, "r.yaml")
    place = source.place(path)
    assert (place.file, place.line, place.column) == ("r.yaml", line, column)
    assert underlined(source, path) == token
    assert place.text == RECIPE.splitlines()[line - 1]


def test_a_key_has_its_place():
    source = parse_source(RECIPE)
    assert underlined(source, ("steps", 1, "replace", "layers", "type"), key=True) == "type"
    assert underlined(source, ("steps", 1, "replace"), key=True) == "replace"


def test_a_list_item_has_no_key():
    source = parse_source(RECIPE)
    assert source.key_place(("steps", 0)) == source.place(("steps", 0))
    assert source.key_place(()) == source.place()


def test_a_path_deeper_than_the_text_gives_the_nearest_ancestor():
    source = parse_source(RECIPE)
    assert source.place(("steps", 0, "load", "path", 3)) == source.place(("steps", 0, "load"))
    assert source.key_place(("steps", 0, "load", "path", 3)) == source.place(("steps", 0, "load"))
    assert source.place(("steps", 9)) == source.place(("steps",))


def test_an_alias_is_its_own_place_and_its_inside_stands_at_the_anchor():
    source = parse_source("a: &a # why\n  {b: 2}\nc: *a\n")
    assert underlined(source, ("a",)) == "{b: 2}"
    assert underlined(source, ("c",)) == "*a"
    assert (source.place(("c", "b")).line, underlined(source, ("c", "b"))) == (2, "2")
    assert underlined(source, ("c", "b"), key=True) == "b"


def test_an_empty_value_is_behind_its_colon():
    source = parse_source("a:\nb: &x\nc: 1\n")
    assert (source.place(("a",)).column, source.place(("a",)).length) == (3, 1)
    assert (source.place(("b",)).line, source.data["b"]) == (2, None)


def test_a_text_over_several_lines_is_underlined_on_its_first():
    source = parse_source('a: "one\n  two"\nb: |\n  three\n')
    assert underlined(source, ("a",)) == '"one'
    assert underlined(source, ("b",)) == "|"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_columns_do_not_depend_on_line_ends(end: str):
    source = parse_source(RECIPE.replace("\n", end))
    plain = parse_source(RECIPE)
    assert source.data == plain.data
    for path in ((), ("vars", "source"), ("steps", 1, "replace", "with"), ("steps", 2, "save")):
        assert source.place(path) == plain.place(path)


def test_columns_count_characters():
    source = parse_source("größe 😀: [ünï, 模型]\n")
    assert source.place(("größe 😀", 1)).column == 16
    assert underlined(source, ("größe 😀", 1)) == "模型"


# Files


def test_a_file_is_read_with_its_name(tmp_path: Path):
    path = tmp_path / "r.yaml"
    path.write_bytes("\ufeffa: ü\r\nb: 2\r\n".encode())
    source = read_source(path, "shown.yaml")
    assert (source.data, source.text) == ({"a": "ü", "b": 2}, "a: ü\r\nb: 2\r\n")
    assert str(source.place(("b",))) == "shown.yaml:2:4"
    assert str(source.place(("a",))) == "shown.yaml:1:4"
    assert read_source(path).file == str(path)


def test_a_large_file_is_refused_unread(tmp_path: Path):
    path = tmp_path / "r.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(FileError, match="is larger than 1048576 bytes"):
        read_source(path)


def test_a_missing_file_is_a_file_error_and_bytes_that_are_no_text_are_wrong_text(tmp_path: Path):
    with pytest.raises(FileError):
        read_source(tmp_path / "r.yaml")
    with pytest.raises(FileError):
        read_source(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(Problems) as caught:
        read_source(tmp_path / "bytes.yaml", "bytes.yaml")
    assert str(caught.value) == (
        "bytes.yaml:1:4: byte 0xff is not UTF-8; save the file as UTF-8\n  1 | a: \ufffd\n    |    ^"
    )


@pytest.mark.parametrize("text", ["a\n---\nb", "#1"])
def test_a_single_value_must_be_all_there_is(text: str):
    with pytest.raises(Problems):
        parse_scalar(text)


def test_a_comment_behind_a_single_value_is_refused():
    with pytest.raises(Problems) as raised:
        parse_scalar("5 # five")
    assert str(raised.value) == (
        "<value>:1:3: '# five' behind the value would be lost; put the whole value in quotes\n"
        "  1 | 5 # five\n"
        "    |   ^^^^^^"
    )


# Properties

yaml_like = st.text(
    alphabet=st.one_of(st.sampled_from("ab1:-?&*!|>%@`'\"#,[]{}<~=$.\\ \t\n\r0x"), st.characters()), max_size=60
)
words = st.text(alphabet=st.sampled_from("abz_ é模😀-.:#*'\"\\"), min_size=1, max_size=12)
numbers = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


def refusal(text: str) -> Problems | None:
    try:
        parse_source(text)
    except Problems as error:
        return error
    return None


@given(yaml_like)
@settings(max_examples=500, deadline=None)
@example("%YAML 9" + "9" * 5000 + ".1\n---\na")
@example("a: !<%ff> b")
@example("\ufeff")
@example('"\\x"')
@example("\x00")
def test_any_text_is_read_or_refused_with_places(text: str):
    error = refusal(text)
    if error is not None:
        assert all(problem.place is not None for problem in error.problems)
        str(error).encode()


@given(yaml_like)
@settings(deadline=None)
def test_any_single_value_is_read_or_refused(text: str):
    with suppress(Problems):
        parse_scalar(text)


def written(value: object, *, block: bool, depth: int = 0) -> str:
    """YAML text of a value; in block style with a comment behind every value of a mapping."""
    indent = "\n" + "  " * depth
    if isinstance(value, dict) and value:
        items = {in_quotes(key): written(item, block=block, depth=depth + 1) for key, item in value.items()}
        if block:
            return "".join(f"{indent}{key}: {item}  # {key}" for key, item in items.items())
        return "{" + ", ".join(f"{key}: {item}" for key, item in items.items()) + "}"
    if isinstance(value, list) and value:
        items = [written(item, block=block, depth=depth + 1) for item in value]
        return "".join(f"{indent}- {item}" for item in items) if block else "[" + ", ".join(items) + "]"
    if isinstance(value, str):
        return in_quotes(value)
    return "null" if value is None else str(value)


def in_quotes(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def paths(value: object, at: tuple[str | int, ...] = ()):
    yield at, value
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from paths(item, (*at, key))


@given(values, st.booleans(), st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None)
def test_every_span_points_at_its_own_token(value: object, block: bool, end: str):
    source = parse_source(written(value, block=block).replace("\n", end) + end)
    assert source.data == value
    for path, item in paths(value):
        if not block or not isinstance(item, dict | list) or not item:
            assert parse_scalar(underlined(source, path)) == item
        if path and isinstance(path[-1], str):
            assert parse_scalar(underlined(source, path, key=True)) == path[-1]
