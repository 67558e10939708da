"""Self-consistency over equivalent answers."""

import pytest

from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import SpecError
from nbest.types import Candidate
from scripted import prompt_of

PROMPT = prompt_of("?")


async def vote(*texts: str, spec: str = "vote", scores=(), language=None, ctx=None):
    pool = [
        Candidate(id=i, text=text, language=language, meta={"s": scores[i]} if scores else {})
        for i, text in enumerate(texts)
    ]
    return await registry.parse("selectors", spec)(PROMPT, pool, ctx or Context({"policy": Fake()}))


async def test_answers_equal_in_any_script_vote_together():
    selection = await vote("Answer: 41", "الجواب: ٤٢", "答案是四十二。", "उत्तर: ४२", "Answer: 41")
    assert selection.winner.id == 1
    assert selection.weights == {0: 0.0, 1: 1 / 3, 2: 1 / 3, 3: 1 / 3, 4: 0.0}
    assert selection.scores == {0: 2.0, 1: 3.0, 2: 3.0, 3: 3.0, 4: 2.0}
    assert selection.rationale == "42: 3 · 41: 2"


async def test_json_objects_vote_by_their_fields():
    selection = await vote(
        '{"город": "Москва", "дней": 2}', '{"город":"東京","дней":2}', '{"дней":2.0,"город":"東京"}', "2"
    )
    assert selection.winner.id == 1
    assert selection.rationale == '{"город":"東京","дней":2}: 2 · 2: 1 · {"город":"Москва","дней":2}: 1'


async def test_json_objects_that_reason_vote_by_what_they_conclude():
    said = ('{"क्यों": "२+२", "उत्तर": 5}', '{"क्यों": "दो और दो", "उत्तर": 4}', '{"क्यों": "४", "उत्तर": 4}')
    assert (await vote(*said)).winner.id == 1


async def test_the_minority_does_not_win_where_peers_let_it():
    # optillm returns the minority answer on these three (FINDINGS §5).
    for texts in (
        (r"\boxed{7}", r"so \boxed{7}.", r"\boxed{8}"),
        ("Antwort: 7,0", "Die Antwort ist 7.", "Antwort: 8"),
        ("答案是7。", "答案：七", "答案是8。"),
    ):
        assert (await vote(*reversed(texts))).winner.id != 0


async def test_a_tie_goes_to_the_class_with_the_lowest_id():
    assert (await vote("Answer: 5", "Answer: 6", "Answer: 6", "Answer: 5")).winner.id == 0


async def test_candidates_without_an_answer_form_no_class():
    selection = await vote("", "", "…", "Answer: 5")
    assert selection.winner.id == 3
    assert selection.rationale == "5: 1 · ∅: 3"


async def test_where_nobody_has_an_answer_the_first_wins():
    selection = await vote("", "…", "")
    assert selection.winner.id == 0
    assert selection.rationale == "∅"


async def test_an_ambiguous_number_joins_the_clear_ones():
    selection = await vote("Answer: 1.234", "Answer: 1.234", "Answer: 1234", "Answer: 5")
    assert selection.rationale == "1234: 3 · 5: 1"


async def test_the_language_settles_what_a_mark_means():
    selection = await vote("Antwort: 1.234", "Antwort: 1234", "Antwort: 1,234", language="de")
    assert selection.rationale == "1234: 2 · 1.234: 1"


async def test_weighted_is_the_sum_of_scores_and_its_winner_the_best_scored():
    texts = ("Answer: 5", "Answer: 5", "Answer: 6", "Answer: 6")
    selection = await vote(*texts, spec="vote(weight=recorded(s))", scores=(0.9, 0.05, 0.5, 0.6))
    assert selection.winner.id == 3
    assert selection.weights == pytest.approx({0: 0.0, 1: 0.0, 2: 0.5 / 1.1, 3: 0.6 / 1.1})


async def test_scores_below_zero_do_not_count_agreement_against_an_answer():
    ctx = Context({"policy": Fake()})
    texts = ("Answer: 5", "Answer: 5", "Answer: 6")
    selection = await vote(*texts, spec="vote(weight=recorded(s))", scores=(-1.0, -1.5, -2.0), ctx=ctx)
    assert selection.winner.id == 0
    assert ctx.notes == ["vote: scores below zero are taken for logarithms, and weigh exp(score − highest)"]
    assert selection.rationale == "5: 1.607 (2×) · 6: 0.3679 (1×)"


async def test_three_that_agree_outweigh_one_a_little_likelier():
    texts = ("答案：71", "الجواب: ٧١", "คำตอบ: ๗๑", "Ответ: 70")
    scored = {"spec": "vote(weight=recorded(s))"}
    assert (await vote(*texts, **scored, scores=(-1.0, -1.0, -1.0, -0.9))).winner.id == 0
    assert (await vote(*texts, **scored, scores=(-3.0, -3.0, -3.0, -0.9))).winner.id == 3
    assert (await vote(*texts, **scored, scores=(-9e9, 0.0, -1e300, 1e300))).winner.id == 3


@pytest.mark.parametrize("score", [-0.7, 0.0])
async def test_equal_scores_that_would_weigh_nothing_leave_the_majority_to_win(score):
    ctx = Context({"policy": Fake()})
    texts = ("الجواب: ٧٠", "答案：71", "คำตอบ: ๗๑")
    selection = await vote(*texts, spec="vote(weight=recorded(s))", scores=(score,) * 3, ctx=ctx)
    assert selection.winner.id == 1
    assert selection.rationale == "71: 2 (2×) · 70: 1 (1×)"
    assert selection.scores == {0: 1.0, 1: 2.0, 2: 2.0}
    assert ctx.notes == []


async def test_a_single_answer_below_zero_is_not_worth_nothing():
    selection = await vote("答案：71", spec="vote(weight=recorded(s))", scores=(-1.5,))
    assert selection.rationale == "71: 1 (1×)"


async def test_an_unscored_candidate_weighs_least():
    texts = ("Answer: 5", "Answer: 6")
    assert (await vote(*texts, spec="vote(weight=recorded(s))", scores=(None, 0.1))).winner.id == 0
    assert (await vote(*texts, spec="vote(weight=recorded(s))", scores=(None, None))).winner.id == 0


async def test_borda_votes_by_rank():
    # Ranks 1, 2, 3, 4 give 16, 9, 4, 1 votes at power 2.
    texts = ("Answer: 5", "Answer: 6", "Answer: 6", "Answer: 6")
    selection = await vote(*texts, spec="vote(weight=recorded(s), power=2)", scores=(-1.0, -2.0, -3.0, -4.0))
    assert selection.winner.id == 0
    assert selection.scores == {0: 16.0, 1: 14.0, 2: 14.0, 3: 14.0}
    unweighted = await vote(*texts, spec="vote(weight=recorded(s), power=0)", scores=(-1.0, -2.0, -3.0, -4.0))
    assert unweighted.winner.id == 1


async def test_equal_scores_share_the_better_rank():
    # Ranks 1, 1, 3, 3, 3 of 5 candidates.
    texts = ("Answer: 5", "答案：6", "الجواب: ٧", "उत्तर: ७", "Ответ: 7")
    selection = await vote(*texts, spec="vote(weight=recorded(s), power=1)", scores=(0.9, 0.9, 0.1, 0.1, 0.1))
    assert selection.scores == {0: 5.0, 1: 5.0, 2: 9.0, 3: 9.0, 4: 9.0}
    assert selection.winner.id == 2


def test_power_needs_a_weight():
    with pytest.raises(SpecError, match="weight"):
        registry.parse("selectors", "vote(power=1)")


async def test_a_long_answer_is_shown_in_short():
    selection = await vote("Answer: " + "very " * 12 + "long", *(f"Answer: {i}" for i in range(6)))
    assert selection.rationale is not None
    assert "…" in selection.rationale
    assert len(selection.rationale) < 120


async def test_a_whole_answer_stands_for_its_class_before_one_that_was_cut():
    pool = [
        Candidate(id=0, text="答案：42", finish="length"),
        Candidate(id=1, text="الجواب: ٤٢"),
        Candidate(id=2, text="Ответ: 41"),
    ]
    selection = await registry.parse("selectors", "vote")(PROMPT, pool, Context({"policy": Fake()}))
    assert selection.winner.id == 1
    assert selection.weights == {0: 0.5, 1: 0.5, 2: 0.0}


async def test_a_pattern_says_where_the_answer_is():
    texts = ("R=41\n42", "R=43\n42", "R=४३\n42")
    selection = await vote(*texts, spec=r"vote(extract='R=(\w+)')")
    assert (selection.winner.id, selection.rationale) == (1, "43: 2 · 41: 1")


async def test_a_pattern_may_hold_for_a_task_only():
    spec = r"vote(extract={other: 'R=(\w+)'})"
    assert (await vote("R=41\n42", "R=43\n42", spec=spec)).rationale == "42: 2"


async def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(SpecError, match="no regular expression"):
        registry.parse("selectors", "vote(extract='(')")
