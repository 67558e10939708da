from collections import Counter

from nbest.context import Context
from nbest.selection.first import First
from nbest.selection.random import Random
from nbest.types import Candidate
from scripted import prompt_of

PROMPT = prompt_of("?")
POOL = [Candidate(id=i, text="ก" if i < 3 else "ข") for i in range(4)]


async def test_every_candidate_is_as_likely_as_the_others_whatever_they_say():
    chosen = Counter(
        [(await Random()(PROMPT, POOL, Context({}, seed=seed))).winner.id for seed in range(4000)]
    )
    assert chosen.keys() == {0, 3}
    assert abs(chosen[3] - 1000) < 120


async def test_first_is_the_lowest_id_that_did_not_fail():
    pool = [Candidate(id=0, text="", error="HTTP 500"), *[c for c in reversed(POOL) if c.id]]
    assert (await First()(PROMPT, pool, Context({}))).winner.id == 1
