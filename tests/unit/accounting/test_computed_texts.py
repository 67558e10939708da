from nbest.accounting.computed_texts import CallCosts, ComputedTexts
from nbest.types import Completion, Message, Prompt, Request, Usage
from scripted import prompt_of

PROMPT = prompt_of("７＋５は？")


def drawn(*texts, prompt=10, cached=9, completion=4):
    first, *rest = [Completion(text=t, usage=Usage(completion=completion)) for t in texts]
    usage = Usage(prompt=prompt, cached=cached, completion=completion, calls=1)
    return [Completion(text=first.text, usage=usage), *rest]


def reused(texts, request, prompt=10, cached=9, model="m"):
    return texts.count(request, drawn("答", prompt=prompt, cached=cached), model).reused


def test_what_was_in_the_cache_before_is_not_credited():
    assert reused(ComputedTexts(), Request(prompt=PROMPT)) == 0


def test_a_prompt_that_was_read_before_is_credited_but_for_one_token_whatever_the_cache_had():
    texts = ComputedTexts()
    assert reused(texts, Request(prompt=PROMPT)) == 0
    assert reused(texts, Request(prompt=PROMPT)) == 9
    assert reused(texts, Request(prompt=PROMPT), cached=0) == 9


def test_a_continued_text_is_credited_as_far_as_the_outcome_drew_it():
    texts = ComputedTexts()
    texts.count(Request(prompt=PROMPT), drawn("一\n", "二\n"), "m")
    # The last of its four tokens was drawn, and not read.
    assert reused(texts, Request(prompt=PROMPT, prefix="二\n"), prompt=14) == 13
    assert reused(texts, Request(prompt=PROMPT, prefix="一\n三\n"), prompt=21) == 13


def test_another_model_has_another_cache():
    texts = ComputedTexts()
    texts.count(Request(prompt=PROMPT), drawn("一"), "m")
    assert reused(texts, Request(prompt=PROMPT), model="other") == 0


def test_an_engine_that_never_reports_a_cache_is_credited_nothing_and_one_that_does_all_of_it():
    texts = ComputedTexts()
    first, second, third = (reused(texts, Request(prompt=PROMPT), cached=0, model="no cache") for _ in "123")
    assert (first, second, third) == (0, 0, 0)
    assert reused(texts, Request(prompt=PROMPT), cached=9, model="no cache") == 3 * 9


def test_a_conversation_that_goes_on_is_credited_by_its_share_of_characters():
    turns = (
        *PROMPT.messages,
        Message(role="assistant", content="答え：１２"),
        Message(role="user", content="もう一度考えてください。"),
    )
    later = Request(prompt=Prompt(id="p", messages=turns))

    texts = ComputedTexts()
    texts.count(Request(prompt=PROMPT), drawn("答え：１２"), "m")
    num_reused = reused(texts, later, prompt=40)
    assert 10 < num_reused < 30
    assert reused(texts, Request(prompt=prompt_of("สวัสดี")), prompt=40) < 10


def test_of_two_conversations_it_hardly_matters_which_comes_first():
    a = Request(prompt=prompt_of("Считай: два плюс три"))
    b = Request(prompt=prompt_of("Считай: два плюс восемь и ещё один"))
    found = []
    for first, second in ((a, b), (b, a)):
        texts = ComputedTexts()
        nums = {id(a): 20, id(b): 31}
        texts.count(first, drawn("x", prompt=nums[id(first)]), "m")
        found.append(reused(texts, second, prompt=nums[id(second)]))
    assert 0 < min(found) <= max(found) <= min(found) + 1


def test_context_is_what_each_computed_token_attends_to():
    texts = ComputedTexts()
    costs = texts.count(Request(prompt=PROMPT), drawn("ab", "cd", prompt=3, completion=2), "m")
    assert costs == CallCosts(reused=0, context=(1 + 2 + 3) + 2 * (4 + 5))
    again = texts.count(Request(prompt=PROMPT), drawn("ab", prompt=3, completion=2), "m")
    assert again == CallCosts(reused=2, context=3 + (4 + 5))


def test_the_prompt_of_an_equal_call_is_known():
    texts = ComputedTexts()
    request = Request(prompt=PROMPT, prefix="一")
    assert texts.num_prompt(request, "m") is None
    texts.count(request, drawn("二", prompt=12), "m")
    assert texts.num_prompt(request, "m") == 12
