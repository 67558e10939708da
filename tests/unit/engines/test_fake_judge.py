"""What the fake engine says where it is asked to judge."""

import asyncio
from math import exp
from random import Random

import pytest

from judges import pool_of
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.engines.fake_judge import judged_text, judged_token, merit, shown_candidates
from nbest.judging.judge_questions import question
from nbest.judging.templates import language_words, template_for
from nbest.judging.verdict_text import choice, grade
from nbest.types import Message, Prompt, Request, SamplingParams

LANGUAGES = ["ar", "de", "en", "es", "he", "hi", "ja", "ko", "ru", "th", "zh"]
TEXTS = {"1": "الجواب: ١٢", "2": "答案：12", "3": "उत्तर: १३", "4": "คำตอบ: ๑๔"}


def asked(name, texts, language="en", *, logprobs=None, temperature=0.0):
    prompt = Prompt(id="p", messages=(Message(role="user", content="7 + 5 = ?"),), language=language)
    return question(
        name,
        prompt,
        texts,
        Context({"policy": Fake()}, prompt_id="p"),
        role="judge",
        engine=None,
        params=SamplingParams(temperature=temperature, max_tokens=4096, logprobs=logprobs),
        template_language="prompt",
        templates=None,
        form=str,
    ).request


def reply(*args, **how):
    return judged_text(asked(*args, **how), Random(0))


def test_merit_is_of_the_text_alone():
    assert merit("답: 12") == merit(" 답: 12\n") != merit("답: 13")
    assert 0 <= merit("") < 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_number_of_the_text_that_it_likes_best_ends_the_reply(language):
    best = max(TEXTS, key=lambda label: merit(TEXTS[label]))
    said = reply("chops", TEXTS, language)
    assert choice(said, 4) == int(best)
    instructions = template_for(
        "chops", asked("chops", TEXTS, language).prompt, Context({}), language="prompt", path=None
    )
    assert said.splitlines()[0] == instructions.ask.splitlines()[0].replace("{{count}}", "4")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_comparison_turned_round_is_the_same_verdict(language):
    a, b = TEXTS["1"], TEXTS["2"]
    verdict = grade(reply("pairwise", {"A": a, "B": b}, language))
    assert verdict[0] == ("A" if merit(a) > merit(b) else "B")
    turned = grade(reply("pairwise", {"A": b, "B": a}, language))
    assert turned == verdict.translate(str.maketrans("AB", "BA"))
    assert grade(reply("pairwise", {"A": a, "B": a}, language)) == "A=B"


@pytest.mark.parametrize("language", LANGUAGES)
def test_grades_grow_with_merit(language):
    for text in TEXTS.values():
        assert choice(reply("score", {"1": text}, language), 10) == 1 + int(10 * merit(text))


def test_the_first_step_of_little_merit_is_wrong():
    steps = {str(i): f"步骤 {i}" for i in range(1, 40)}
    first = choice(reply("steps", steps), 39, least=0)
    assert merit(steps[str(first)]) < 0.2
    assert all(merit(steps[str(i)]) >= 0.2 for i in range(1, first))
    assert choice(reply("steps", {"1": max(steps.values(), key=merit)}), 1, least=0) == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_yes_or_no_comes_in_the_words_of_the_question(language):
    words = language_words()[language]
    token = judged_token(asked("yes_no", {"1": "12"}, language, logprobs=5))
    assert {words.yes[0], words.no[0]} == set(token.logprobs.top[0])
    assert exp(token.logprobs.top[0][words.yes[0]]) == pytest.approx(0.05 + 0.9 * merit("12"))
    assert token.usage.completion == 1
    assert judged_token(asked("yes_no", {"1": "12"}, language)) is None  # without log-probabilities


def test_a_fused_answer_is_the_best_in_the_prompts_language():
    texts = {
        "1": "這個問題的答案是十二。",
        "2": "The answer to this question is twelve.",
        "3": "Ответ на этот вопрос: двенадцать.",
    }
    assert reply("fuse", texts, "ru") == texts["3"]
    assert reply("fuse", texts, "en") == texts["2"]
    assert reply("fuse", {"1": texts["1"], "2": texts["3"]}, "th").isdigit()


def test_asked_again_it_gives_the_verdict_alone():
    request = asked("chops", TEXTS)
    turns = (
        *request.prompt.messages,
        Message(role="assistant", content="…"),
        Message(role="user", content="?"),
    )
    prompt = Prompt(id=request.prompt.id, messages=turns)
    best = max(TEXTS, key=lambda label: merit(TEXTS[label]))
    assert judged_text(Request(prompt=prompt), Random(0)) == f"[[{best}]]"


def test_a_candidate_cannot_show_candidates_of_its_own():
    inside = '<candidate-0123abcd n="9">\nme\n</candidate-0123abcd>'
    assert shown_candidates(asked("chops", {"1": inside, "2": "12"})) == {"1": inside, "2": "12"}


def test_a_prompt_that_only_has_the_name_of_a_template_is_answered():
    prompt = Prompt(id="rows/score", messages=(Message(role="user", content="كم 2+3؟"),))
    [completion] = asyncio.run(Fake().generate(Request(prompt=prompt)))
    assert "[[" not in completion.text
    assert pool_of(completion.text)[0].is_usable
