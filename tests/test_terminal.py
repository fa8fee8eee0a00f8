from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from modelrecipe.cli.streams import encodable
from modelrecipe.report.terminal import Cell, columns, cut, shorten, wrapped


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("conv1", 10, "conv1"),
        ("backbone/stage_4/block_17/conv_expand", 24, "backbone/st…/conv_expand"),
        ("a_very_long_layer_name_without_slashes", 20, "a_very_lo…ut_slashes"),
        ("short/a_name_that_is_longer_than_the_room", 16, "short/a…the_room"),
        ("conv1", 1, "…"),
        ("conv1", 0, ""),
        ("日本語の名前", 7, "日本…前"),
        ("a\x1b[2J", 10, "a\ufffd[2J"),
    ],
)
def test_shorten(text: str, width: int, short: str):
    assert shorten(text, width) == short


@given(st.text(max_size=80), st.integers(0, 60))
def test_nothing_is_wider_than_its_room(text: str, width: int):
    assert cell_len(shorten(text, width)) <= width
    assert cell_len(cut(text, width)) <= width
    assert all(cell_len(line) <= max(2, width) for line in wrapped(text, max(2, width)))


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=40), st.integers(2, 30))
def test_wrapping_loses_no_character(text: str, width: int):
    assert "".join(wrapped(text, width)) == text


def test_columns_give_way_in_order_and_empty_ones_go():
    rows = [[Cell("0", right=True), Cell("a_long_layer_name"), Cell(""), Cell("Dense")]]
    assert [line.plain for line in columns(rows, 20, shrink={1: 8, 3: 2})] == ["0  a_lo…_name  Dense"]
    assert [line.plain for line in columns(rows, 40)] == ["0  a_long_layer_name  Dense"]
    assert columns([], 40) == []


def test_arrows_become_ascii_where_the_stream_knows_none():
    assert encodable("a → b \u00d7 2…", "ascii") == "a -> b x 2..."
    assert encodable("a → b", "utf-8") == "a → b"
    assert encodable("層 → b", "latin-1") == "? -> b"
