"""A thread that does jobs in order: what they raise comes out, and nothing stays behind."""

from __future__ import annotations

import threading
import time

import pytest

from modelrecipe.line import Line


def test_jobs_are_done_in_the_order_in_which_they_are_put():
    done: list[int] = []
    with Line() as line:
        for number in range(500):
            line.put(done.append, number)
    assert done == list(range(500))


def test_waiting_lasts_until_all_are_done():
    done: list[int] = []
    with Line() as line:
        for number in range(3):
            line.put(lambda number: (time.sleep(0.01), done.append(number)), number)
        line.wait()
        assert done == [0, 1, 2]
        line.put(done.append, 3)
    assert done == [0, 1, 2, 3]


def test_few_jobs_wait():
    """Whoever puts more is held up, so that what they hold stays small."""
    begun, may_go_on, put = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        may_go_on.wait(10)

    def put_all(line: Line) -> None:
        for number in range(20):
            line.put(first if number == 0 else put.append, *([] if number == 0 else [number]))
            counted.append(number)

    counted: list[int] = []
    with Line() as line:
        other = threading.Thread(target=put_all, args=(line,))
        other.start()
        assert begun.wait(10)
        time.sleep(0.05)
        assert len(counted) < 8
        may_go_on.set()
        other.join(10)
    assert put == list(range(1, 20))


@pytest.mark.parametrize("number", [1, 100], ids=["at its end", "while others are put"])
def test_what_a_job_raises_comes_out_of_the_line(number: int):
    done: list[int] = []

    def fail() -> None:
        raise ValueError("no")

    def put_all() -> None:
        with Line() as line:
            line.put(fail)
            for _ in range(number):
                line.put(done.append, 1)

    before = threading.active_count()
    with pytest.raises(ValueError, match="no"):
        put_all()
    assert threading.active_count() == before
    assert done == [], "what was put behind it is not done"


def test_what_fails_beside_it_gives_up_what_waits():
    done: list[int] = []

    def put_all() -> None:
        with Line() as line:
            for number in range(4):
                line.put(lambda number: (time.sleep(0.05), done.append(number)), number)
            raise KeyError("other")

    before = threading.active_count()
    with pytest.raises(KeyError, match="other"):
        put_all()
    assert threading.active_count() == before
    assert len(done) < 4


def test_what_a_line_puts_into_another_comes_out_of_both():
    def fail() -> None:
        raise ValueError("of the second")

    def put_all() -> None:
        with Line() as second, Line() as first:
            for _ in range(50):
                first.put(second.put, fail)

    with pytest.raises(ValueError, match="of the second"):
        put_all()
