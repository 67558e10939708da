"""A cache of what is known of an object, by the object itself and not by what it equals."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


def remembered_by_identity(function: Callable[[Any], _T], *, max_size: int = 256) -> Callable[[Any], _T]:
    """`function` of one immutable object, worked out once for each of the `max_size` objects met last.

    Equal objects are not taken for each other (`temperature=1` is written otherwise than `temperature=1.0`),
    and none has to be hashed, which takes as long as what is remembered here.
    """
    latest: OrderedDict[int, tuple[Any, _T]] = OrderedDict()
    """Objects are kept, so that no other one gets their id."""

    def of(value: Any) -> _T:
        found = latest.get(id(value))
        if found is not None:
            return found[1]
        result = function(value)
        latest[id(value)] = value, result
        if len(latest) > max_size:
            latest.popitem(last=False)
        return result

    return of
