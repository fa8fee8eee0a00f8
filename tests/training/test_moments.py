"""`training.moments`: the batches that a recipe's words mean."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrecipe.errors import LanguageError
from modelrecipe.training.moments import PERIOD, POINT, Course, Period, Point, Timing, ramped, refuse_later
from tests.running import told

TEN_BY_THREE = Course(length=10, total=30)


def timing(
    *, at: str | None = None, every: str | None = None, begin: str | None = None, end: str | None = None
) -> Timing:
    return Timing(
        at=Point.read(at) if at else None,
        every=Period.read(every) if every else None,
        begin=Point.read(begin) if begin else None,
        end=Point.read(end) if end else None,
    )


def times(meant: Timing, course: Course = TEN_BY_THREE) -> list[int]:
    return [time for time in range(course.total + 1) if meant.is_at(time, course)]


def enumerated(meant: Timing, course: Course) -> list[int]:
    found = [0] if meant.is_at(0, course) else []
    time = meant.after(0, course)
    while time is not None and time <= course.total:
        assert time > (found[-1] if found else 0)
        found.append(time)
        time = meant.after(time, course)
    return found


courses = st.builds(lambda length, total: Course(length=length, total=total), st.integers(1, 9), st.integers(1, 40))
periods = st.builds(Period, st.integers(1, 12), st.sampled_from(["batch", "epoch"]))
points = st.one_of(
    st.builds(Point, st.sampled_from(["start", "end"])),
    st.builds(Point, st.sampled_from(["batch", "epoch"]), st.integers(1, 30)),
)
repeated = st.builds(
    lambda every, begin, end: Timing(every=every, begin=begin, end=end), periods, st.none() | points, st.none() | points
)
timings = repeated | st.builds(lambda at: Timing(at=at), points)


@given(timings, courses)
def test_the_next_time_leads_through_exactly_the_times(meant: Timing, course: Course):
    assert enumerated(meant, course) == times(meant, course)


@given(timings, courses)
def test_the_count_is_that_of_the_times(meant: Timing, course: Course):
    assert meant.count(course) == len(times(meant, course))


@given(timings, courses)
def test_the_last_time_is_the_last_one(meant: Timing, course: Course):
    if found := times(meant, course):
        assert meant.last(course) == found[-1]


@given(timings, courses)
def test_what_never_comes_is_refused_and_nothing_else(meant: Timing, course: Course):
    is_never = not times(meant, course)
    point = meant.at or meant.begin
    is_behind = point is not None and point.word == "epoch" and point.begins(course) == course.total
    assert (refuse_later(meant, course) is not None) is (is_never or is_behind)


@given(repeated, courses)
def test_periods_of_epochs_come_at_ends_of_epochs(meant: Timing, course: Course):
    if meant.every is not None and meant.every.unit == "epoch" and meant.begin != Point("end"):
        assert all(time > 0 and time % course.length == 0 for time in times(meant, course))


@pytest.mark.parametrize(
    ("meant", "wanted"),
    [
        (timing(every="7 batches"), [7, 14, 21, 28]),
        (timing(every="7 batches", begin="start"), [0, 7, 14, 21, 28]),
        (timing(every="7 batches", begin="batch 3"), [3, 10, 17, 24]),
        (timing(every="7 batches", begin="epoch 2"), [10, 17, 24]),
        (timing(every="7 batches", end="batch 14"), [7, 14]),
        (timing(every="5 batches", begin="epoch 2", end="epoch 2"), [10, 15, 20]),
        (timing(every="1 epoch"), [10, 20, 30]),
        (timing(every="2 epochs"), [20]),
        (timing(every="1 epoch", begin="epoch 2"), [20, 30]),
        (timing(every="2 epochs", begin="start"), [10, 30]),
        (timing(every="1 epoch", begin="batch 5"), [10, 20, 30]),
        (timing(every="1 epoch", begin="batch 10", end="epoch 2"), [10, 20]),
        (timing(at="start"), [0]),
        (timing(at="epoch 1"), [0]),
        (timing(at="epoch 3"), [20]),
        (timing(at="batch 30"), [30]),
        (timing(at="end"), [30]),
    ],
    ids=str,
)
def test_words_mean_these_batches(meant: Timing, wanted: list[int]):
    assert times(meant) == wanted


def test_every_hundred_batches_is_the_whole_part_of_the_division_by_a_hundred():
    for total in (99, 100, 101, 250, 1000):
        assert timing(every="100 batches").count(Course(length=45, total=total)) == total // 100


@pytest.mark.parametrize(
    ("meant", "wanted"),
    [
        (
            timing(at="batch 31"),
            "'batch 31' comes after the end: the training has 30 batches in epochs of 10; write an earlier one",
        ),
        (
            timing(at="epoch 4"),
            "'epoch 4' comes after the end: the training has 30 batches in epochs of 10; write an earlier one",
        ),
        (
            timing(every="1 batch", begin="epoch 4"),
            "'epoch 4' comes after the end: the training has 30 batches in epochs of 10; write an earlier one",
        ),
        (
            timing(every="2 batches", begin="batch 20", end="batch 10"),
            "'until batch 10' comes before 'from batch 20'",
        ),
        (
            timing(every="100 batches"),
            "'every 100 batches' never comes: the training has 30 batches in epochs of 10; write a shorter period",
        ),
    ],
    ids=str,
)
def test_moments_that_never_come_are_refused(meant: Timing, wanted: str):
    error = refuse_later(meant, TEN_BY_THREE)
    assert isinstance(error, LanguageError)
    assert told(error) == wanted


def test_the_cubic_ramp_is_that_of_zhu_and_gupta():
    shares = [ramped("cubic", 0.0, 0.9, quarter / 4) for quarter in range(5)]
    assert [round(share, 4) for share in shares] == [0, 0.5203, 0.7875, 0.8859, 0.9]


@given(st.sampled_from(["linear", "cosine", "cubic"]), st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1))
def test_ramps_begin_and_end_exactly_and_stay_between(shape: str, first: float, last: float, progress: float):
    assert ramped(shape, first, last, 0) == first  # type: ignore[arg-type]
    assert ramped(shape, first, last, 1) == last  # type: ignore[arg-type]
    low, high = sorted((first, last))
    assert low - 1e-9 <= ramped(shape, first, last, progress) <= high + 1e-9  # type: ignore[arg-type]


def test_linear_and_cosine_ramps_are_halfway_at_half():
    assert ramped("linear", 1, 3, 0.5) == 2
    assert ramped("cosine", 1, 3, 0.5) == pytest.approx(2, abs=1e-12)


@pytest.mark.parametrize("text", ["100 batches", "1 batch", "2 epochs", "1 epoch"])
def test_periods_read_as_they_are_written(text: str):
    assert re.search(PERIOD, text)
    assert str(Period.read(text)) == text


@pytest.mark.parametrize("text", ["0 batches", "100", "batches", "1.5 epochs", "100  batches", "-1 epoch"])
def test_other_texts_are_no_periods(text: str):
    assert not re.search(PERIOD, text)


@pytest.mark.parametrize("text", ["start", "end", "batch 700", "epoch 3"])
def test_points_read_as_they_are_written(text: str):
    assert re.search(POINT, text)
    assert str(Point.read(text)) == text


@pytest.mark.parametrize("text", ["begin", "epoch", "epoch 0", "3 epochs", "batch -1", "epoch 1.5"])
def test_other_texts_are_no_points(text: str):
    assert not re.search(POINT, text)


def test_the_epoch_of_a_time():
    assert [TEN_BY_THREE.epoch_of(time) for time in (0, 9, 10, 29, 30)] == [1, 1, 2, 3, 3]
