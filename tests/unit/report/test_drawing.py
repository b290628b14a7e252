from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from gameday.report.drawing import LogScale, elided, nice_step, spread, text, text_width

BOXES = st.lists(st.tuples(st.floats(-50, 1300), st.floats(10, 150)), min_size=1, max_size=8).map(
    sorted
)


@given(BOXES)
def test_labels_never_overlap_and_stay_inside(boxes: list[tuple[float, float]]) -> None:
    wanted, widths = zip(*boxes, strict=True)
    assume(sum(widths) <= 1200)
    centres = spread(wanted, widths, 0, 1200)
    edges = [(c - w / 2, c + w / 2) for c, w in zip(centres, widths, strict=True)]
    assert all(left >= -0.01 and right <= 1200.01 for left, right in edges)
    assert all(a[1] <= b[0] + 0.01 for a, b in pairwise(edges))


def test_labels_that_have_room_stay_where_they_belong() -> None:
    assert spread([100, 300, 500], [80, 80, 80], 0, 1200) == [100, 300, 500]


def test_labels_of_one_moment_gather_around_it() -> None:
    assert spread([600, 600], [80, 80], 0, 1200) == [560, 640]


@given(st.text(max_size=60), st.floats(20, 400))
def test_cut_text_fits_its_room(content: str, room: float) -> None:
    assert text_width(elided(content, room, 12), 12) <= room


def test_text_that_looks_like_markup_stays_text() -> None:
    assert "&lt;script&gt; &amp; &quot;" in text(0, 0, '<script> & "', "lane")


@given(st.floats(1e-6, 1e12), st.integers(1, 20))
def test_steps_cut_an_axis_into_at_most_as_many_parts_as_wanted(span: float, wanted: int) -> None:
    step = nice_step(span, wanted)
    assert span / step <= wanted * 1.002
    assert f"{step:.0e}"[0] in "125"


def test_each_decade_is_as_high_as_the_next() -> None:
    scale = LogScale(low=1, high=1000, start=300, end=0)
    assert [round(scale(value)) for value in (1, 10, 100, 1000)] == [300, 200, 100, 0]
