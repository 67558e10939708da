"""Plain texts of many prompts, scored in one call of a reward server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from nbest.errors import REFUSED, EngineError, EngineHttpError, InputError
from nbest.scoring.endpoint import Endpoint
from nbest.scoring.reward_api import REPLIES, Api, Reading, Reply, text_body
from nbest.types import Json

NOT_THERE = frozenset({404, 405, 501})


class Read(NamedTuple):
    """What became of one text, and its part of what the call cost."""

    reading: Reading | EngineError
    prompt_tokens: int = 0
    """By its share of the characters: a server counts the call as a whole."""
    calls: int = 0
    """1 for the first text of a call."""


async def ask_texts(
    endpoint: Endpoint, api: Api, head: Mapping[str, Json], texts: Sequence[str]
) -> Sequence[Read]:
    """One reading per text. What a batch is refused for is asked again one by one.

    Raises `InputError` where the address has no such API.
    """
    try:
        reply = await endpoint.ask({**head, **text_body(texts)}, REPLIES[api])
    except EngineHttpError as e:
        if e.status in NOT_THERE:
            raise InputError(f"{endpoint.url}: {e}") from None
        if e.status not in REFUSED or len(texts) == 1:
            return [Read(e)] * len(texts)
        alone = await asyncio.gather(*(ask_texts(endpoint, api, head, [t]) for t in texts))
        return [read for of_one in alone for read in of_one]
    except EngineError as e:
        return [Read(e)] * len(texts)
    tokens = parts(reply.prompt_tokens, [len(t) for t in texts])
    readings = readings_of(reply, len(texts), endpoint.url)
    return [Read(reading, tokens[i], int(i == 0)) for i, reading in enumerate(readings)]


def readings_of(reply: Reply, num: int, url: str) -> list[Reading | EngineError]:
    """The numbers of each text of a call, or why there are none."""
    left_out = EngineError(f"{url} left candidates out of its reply")
    empty = EngineError(
        f"{url} gives no numbers for candidates: a process reward model gives them at its own mark behind each step"
        " alone. Name it, such as  step_mark='<extra_0>'"
    )
    by_index = reply.by_index()
    readings: list[Reading | EngineError] = []
    for i in range(num):
        reading = by_index.get(i, left_out)
        has_numbers = isinstance(reading, EngineError) or (reading and all(reading))
        readings.append(reading if has_numbers else empty)
    return readings


def parts(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole numbers in proportion to `weights`, equally where they are all 0; they sum to it."""
    ends = list(accumulate(weights, initial=0))
    if not ends[-1]:
        ends = list(range(len(weights) + 1))
    return [total * b // ends[-1] - total * a // ends[-1] for a, b in pairwise(ends)]
