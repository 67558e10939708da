"""Results remembered by the object itself."""

from nbest.identity_cache import remembered_by_identity


def test_each_object_is_asked_once_and_equal_ones_are_told_apart():
    asked = []

    def described(value):
        asked.append(value)
        return repr(value[0])

    of = remembered_by_identity(described)
    one, other = (1,), (1.0,)
    assert one == other
    assert [of(one), of(other), of(one), of(other)] == ["1", "1.0", "1", "1.0"]
    assert len(asked) == 2


def test_only_the_latest_are_kept():
    asked = []

    def noted(value):
        asked.append(value)
        return len(asked)

    of = remembered_by_identity(noted, max_size=2)
    first, second, third = object(), object(), object()
    for value in (first, second, third, third, second):
        of(value)
    assert asked == [first, second, third]
    of(first)
    assert asked == [first, second, third, first]
