"""Classes of answers, found here or in a worker process."""

import pytest

from nbest.errors import EngineTimeoutError
from nbest.offload import counts
from nbest.text import answer_classes as module
from nbest.text.answer_classes import answer_classes
from nbest.types import Candidate, Message, Prompt

PROMPT = Prompt(id="p", messages=(Message(role="user", content="٢ + ٢؟"),))


def pool(*texts):
    return [Candidate(id=i, text=text) for i, text in enumerate(texts)]


async def classes_of(*texts, **more):
    return await answer_classes(pool(*texts), PROMPT, seconds=30, **more)


async def test_short_answers_are_compared_without_another_process():
    num_done = counts.num_done
    first, second, third, other = await classes_of("答案是四。", "الجواب هو ٤", "The answer is 4.", "**5**")
    assert first == second == third == "4"
    assert other == "5"
    assert counts.num_done == num_done


async def test_long_ones_are_compared_in_another_and_come_out_the_same():
    num_done = counts.num_done
    long = "因为" * 20_000
    assert await classes_of(f"{long}。答案是4。", "The answer is 4.") == ["4", "4"]
    assert counts.num_done == num_done + 1


async def test_a_pattern_is_searched_for_in_another():
    num_done = counts.num_done
    assert await classes_of("#### 4 ####", "#### ４", "4", pattern=r"####\s*(\d+)") == ["4", "4", None]
    assert counts.num_done == num_done + 1


async def test_time_is_up_for_pools_that_take_too_long():
    with pytest.raises(EngineTimeoutError):
        await answer_classes(pool(*["7" * 16_000] * 64), PROMPT, seconds=0.0)


async def test_failed_candidates_have_no_class(monkeypatch):
    monkeypatch.setattr(module, "_MAX_CHARS", 0)
    failed = Candidate(id=1, text="4", error="لا")
    assert await answer_classes([*pool("4"), failed], PROMPT, seconds=30) == ["4", None]
