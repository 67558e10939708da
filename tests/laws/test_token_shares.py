"""How the tokens of a call are shared among its completions."""

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from nbest.accounting.tokens import estimated_tokens
from nbest.engines.openai.usage import TokenCounts, with_usage
from nbest.types import Completion, Usage

DRAWN = st.lists(
    st.builds(
        Completion,
        text=st.sampled_from(["", "a", "да", "三つ", "สวัสดี", "🍎🍏"]),
        finish=st.sampled_from(["stop", "length"]),
    ),
    min_size=1,
    max_size=4,
)


def shares(drawn, total, *, by_choice=None, max_tokens=5, **more):
    counts = TokenCounts(completion=total, **more)
    found = with_usage(drawn, counts, by_choice=by_choice or [None] * len(drawn), max_tokens=max_tokens)
    assert [(c.text, c.finish) for c in found] == [(c.text, c.finish) for c in drawn]
    return [c.usage for c in found]


ALL_CUT = [Completion(text="a", finish="length"), Completion(text="三つ", finish="length")]


@example(drawn=ALL_CUT, more=0, max_tokens=3)
@example(drawn=ALL_CUT, more=1, max_tokens=3)
@example(drawn=ALL_CUT, more=-1, max_tokens=3)
@example(drawn=[*ALL_CUT, Completion(text="да")], more=0, max_tokens=3)
@given(DRAWN, st.integers(-2, 2) | st.integers(3, 20), st.integers(1, 6))
def test_truncated_ones_have_max_tokens_and_the_rest_goes_by_bytes(drawn, more, max_tokens):
    """`more`: how many tokens there are beside those of truncated texts."""
    total = max(0, max_tokens * sum(c.finish == "length" for c in drawn) + more)
    found = [usage.completion for usage in shares(drawn, total, max_tokens=max_tokens)]
    assert sum(found) == total
    is_cut = [c.finish == "length" for c in drawn]
    rest = total - max_tokens * sum(is_cut)
    open_places = [i for i, is_so in enumerate(is_cut) if not is_so]
    if rest < 0 or (rest and not open_places):  # the context cut them, or the count is another
        open_places, rest = list(range(len(drawn))), total
    num_bytes = {i: 1 + len(drawn[i].text.encode()) for i in open_places}
    for i, num in enumerate(found):
        if i not in num_bytes:
            assert num == max_tokens
            continue
        exact = Fraction(rest * num_bytes[i], sum(num_bytes.values()))
        assert abs(num - exact) < 1
    for i in open_places:
        for j in open_places:
            if num_bytes[i] >= num_bytes[j] and i < j:
                assert found[i] >= found[j]


@given(DRAWN, st.none() | st.integers(0, 30), st.data())
def test_counts_of_each_are_kept_unless_the_call_says_more(drawn, total, data):
    known = data.draw(st.lists(st.integers(0, 9), min_size=len(drawn), max_size=len(drawn)))
    found = [usage.completion for usage in shares(drawn, total, by_choice=known)]
    if total is None or total <= sum(known):
        assert found == known
        return
    assert sum(found) == total
    for num, own in zip(found, known, strict=True):
        weight = Fraction(own, sum(known)) if sum(known) else Fraction(1, len(known))
        assert abs(num - total * weight) < 1


@given(DRAWN, st.data())
def test_without_any_count_a_text_is_estimated(drawn, data):
    known = data.draw(st.lists(st.none() | st.integers(1, 9), min_size=len(drawn), max_size=len(drawn)))
    found = [usage.completion for usage in shares(drawn, None, by_choice=known)]
    if None in known:
        assert found == [estimated_tokens(c.text) for c in drawn]
    else:
        assert found == known


@given(DRAWN, *[st.none() | st.integers(0, 9)] * 3)
def test_prompt_and_reasoning_are_charged_to_the_first(drawn, prompt, cached, reasoning):
    first, *others = shares(drawn, 9, prompt=prompt, cached=cached, reasoning=reasoning)
    assert first == Usage(
        prompt=prompt or 0, cached=cached or 0, completion=first.completion, calls=1, reasoning=reasoning or 0
    )
    assert others == [Usage(completion=usage.completion) for usage in others]
