from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbest.engines.openai.sse import Events

LINES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)


def read(raw, cuts=()):
    events = Events()
    edges = [0, *sorted(c for c in cuts if c <= len(raw)), len(raw)]
    found = [e for a, b in pairwise(edges) for e in events.feed(raw[a:b])]
    return [*found, *events.close()]


@given(st.lists(LINES, min_size=1, max_size=6), st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_where_the_bytes_are_cut_changes_nothing(texts, newline, data):
    raw = "".join(f": {t}{newline}data: {t}{newline}{newline}" for t in texts).encode()
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=20))
    assert read(raw, cuts) == [("", t.encode()) for t in texts]
    assert read(raw, range(len(raw))) == read(raw)


@given(st.lists(st.lists(LINES, min_size=2, max_size=4), min_size=1, max_size=4), st.data())
def test_a_cut_between_carriage_return_and_line_feed_ends_no_event_of_several_lines(events, data):
    raw = "".join("".join(f"data: {line}\r\n" for line in lines) + "\r\n" for lines in events).encode()
    inside = [at + 1 for at in range(len(raw)) if raw[at : at + 2] == b"\r\n"]
    cuts = data.draw(st.lists(st.sampled_from(inside), min_size=1, unique=True))
    expected = [("", "\n".join(lines).encode()) for lines in events]
    assert read(raw, cuts) == expected
    assert read(raw, inside) == expected


def test_a_line_feed_that_comes_after_its_carriage_return_is_no_empty_line():
    assert read("data: 甲\r\ndata: 乙\r\n\r\n".encode(), [10]) == [("", "甲\n乙".encode())]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=10))
def test_any_bytes_are_read_alike_however_they_are_cut(raw, cuts):
    assert read(raw, cuts) == read(raw)


@pytest.mark.parametrize(
    ("raw", "events"),
    [
        ("data:क\n\n", [("", "क")]),
        ("data:  क\n\n", [("", " क")]),
        ("data: क\ndata: ख\n\n", [("", "क\nख")]),
        ("\ufeffdata: क\n\n", [("", "क")]),
        ("event: error\ndata: 坏\n\ndata: 好\n\n", [("error", "坏"), ("", "好")]),
        ("error: {}\n\n", [("error", "{}")]),
        ("id: 7\nretry: 3\n: hm\n\n\n\n", []),
        ("data\n\n", [("", "")]),
        ("data: [DONE]", [("", "[DONE]")]),
        ("data: क\r", [("", "क")]),
    ],
)
def test_fields(raw, events):
    assert read(raw.encode()) == [(name, data.encode()) for name, data in events]


def test_a_long_line_in_small_pieces_is_no_quadratic_work():
    events = Events()
    piece = b"x" * 1000
    assert list(events.feed(b"data: ")) == []
    for _ in range(5000):
        assert list(events.feed(piece)) == []
    ((_, data),) = events.feed(b"\n\n")
    assert len(data) == 5_000_000
