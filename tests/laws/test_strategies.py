"""Every strategy does what it is for, and not what it does where that fails."""

import asyncio

import pytest

from nbest import registry
from nbest.engines.fake import Fake
from nbest.engines.fake_judge import merit
from nbest.run import ask
from nbest.types import Message, Prompt
from specs import all_of

PROMPTS = [
    Prompt(id=f"p{i}", messages=(Message(role="user", content=text),), language=language)
    for i, (text, language) in enumerate(
        [
            ("2 + 3 = ?", "en"),
            ("كم 2+3؟", "ar"),
            ("2加3等于几？", "zh"),
            ("2+3 कितना है?", "hi"),
            ("2+3 เท่ากับเท่าไร", "th"),
        ]
    )
]


def outcomes(spec):
    strategy = registry.parse("strategies", spec)
    found = [asyncio.run(ask(p, strategy, {"policy": Fake(), "b": Fake()})) for p in PROMPTS]
    for outcome in found:
        assert outcome.stopped in {"done", "quorum"}, (outcome.notes, outcome.error)
        assert outcome.selection is not None
        assert not [note for note in outcome.notes if "instead" in note or "no critique" in note]
    return found


def drawn_from_others(outcome):
    return [c for c in outcome.candidates if c.parents]


def has_steps(outcome):
    return any(c.finish == "step" for c in outcome.candidates)


def has_critiques(outcome):
    verdicts = [c["verdict"] for c in outcome.selection.details["critiques"]]
    return verdicts and None not in verdicts and outcome.usage["verifier"].calls == len(verdicts)


def is_in_several_languages(outcome):
    return len({c.language for c in outcome.candidates}) > 1


def is_of_a_pool(outcome):
    return len(outcome.candidates) > 1 and outcome.selection.winner in outcome.candidates


def was_planned(outcome):
    return outcome.selection.details["plan"]["pilot"] == [0, 1, 2, 3]


def says_its_way(outcome):
    return any(note.startswith("auto: effort medium") for note in outcome.notes)


EVIDENCE = {
    "auto": says_its_way,
    "budget_forcing": drawn_from_others,
    "cross_lingual": is_in_several_languages,
    "parallel": is_of_a_pool,
    "planned": was_planned,
    "revise": drawn_from_others,
    "rsa": drawn_from_others,
    "self_refine": has_critiques,
    "short_m_at_k": is_of_a_pool,
    "tree": has_steps,
}
"""What an outcome shows where the method did its work."""


@pytest.mark.parametrize("spec", all_of("strategies"))
def test_its_method_is_reached(spec):
    name = spec.partition("(")[0]
    assert name in EVIDENCE, f"say what an outcome of {name} shows that no fallback does"
    for outcome in outcomes(spec):
        assert EVIDENCE[name](outcome)


def test_self_refine_rewrites_what_the_critic_would_change_and_stops_where_it_would_not():
    for outcome in outcomes("self_refine(rounds=3)"):
        critiques = outcome.selection.details["critiques"]
        text_by_id = {c.id: c.text for c in outcome.candidates}
        expected = [1 if merit(text_by_id[c["of"]]) > 0.5 else 2 for c in critiques]
        assert [c["verdict"] for c in critiques] == expected
        assert all(verdict == 2 for verdict in expected[:-1])
        is_satisfied = expected[-1] == 1
        assert len(outcome.candidates) == len(critiques) + (not is_satisfied)
        assert outcome.selection.winner == outcome.candidates[-1]


def test_rsa_makes_every_new_answer_from_others_of_the_last_population():
    for outcome in outcomes("rsa(sampler=iid(n=4), subset=2, steps=2)"):
        assert len(outcome.candidates) == 12
        for c in outcome.candidates[4:]:
            assert len(c.parents) == 2
            assert all(c.id - c.id % 4 - 4 <= parent < c.id - c.id % 4 for parent in c.parents)
        population = outcome.candidates[-4:]
        assert outcome.selection.winner in population


@pytest.mark.parametrize("select", ["chops", "judge_pairwise", "tournament"])
def test_the_judges_favourite_of_a_drawn_pool_wins(select):
    for outcome in outcomes(f"parallel(sampler=iid(n=6), selector={select})"):
        assert outcome.text == max((c.text for c in outcome.candidates), key=merit)
        assert outcome.usage["judge"].calls > 0


def test_a_search_against_a_judge_of_steps_finishes_answers():
    for outcome in outcomes("beam(n=4, verifier=step_judge)"):
        assert has_steps(outcome)
        assert outcome.selection.winner.finish == "stop"
        assert outcome.usage["verifier"].calls > 0
