from nbest.accounting.computed_texts import ComputedTexts
from nbest.types import Completion, Message, Prompt, Request, Usage
from scripted import prompt_of

PROMPT = prompt_of("７＋５は？")


def drawn(*texts, prompt=10, cached=0, completion=4):
    first, *rest = [Completion(text=t, usage=Usage(completion=completion)) for t in texts]
    usage = Usage(prompt=prompt, cached=cached, completion=completion, calls=1)
    return [Completion(text=first.text, usage=usage), *rest]


def preloaded(texts, request, cached, prompt=10):
    [counted], _ = texts.counted(request, drawn("答", prompt=prompt, cached=cached), "m")
    return counted.usage.preloaded


def test_what_was_in_the_cache_before_is_marked():
    assert preloaded(ComputedTexts(), Request(prompt=PROMPT), cached=9) == 9


def test_a_prompt_that_was_read_before_is_the_outcomes_own():
    texts = ComputedTexts()
    assert preloaded(texts, Request(prompt=PROMPT), cached=0) == 0
    assert preloaded(texts, Request(prompt=PROMPT), cached=9) == 0


def test_a_continued_text_is_own_as_far_as_the_outcome_drew_it():
    texts = ComputedTexts()
    texts.counted(Request(prompt=PROMPT), drawn("一\n", "二\n"), "m")
    own = Request(prompt=PROMPT, prefix="二\n")
    assert preloaded(texts, own, cached=13, prompt=14) == 0
    longer = Request(prompt=PROMPT, prefix="二\n三\n")
    assert preloaded(texts, longer, cached=20, prompt=21) == 20 - 14


def test_another_model_has_another_cache():
    texts = ComputedTexts()
    texts.counted(Request(prompt=PROMPT), drawn("一"), "m")
    [counted], _ = texts.counted(Request(prompt=PROMPT), drawn("一", cached=9), "other")
    assert counted.usage.preloaded == 9


def test_a_conversation_that_goes_on_is_own_by_its_share_of_characters():
    texts = ComputedTexts()
    texts.counted(Request(prompt=PROMPT), drawn("答え：１２"), "m")
    turns = (
        *PROMPT.messages,
        Message(role="assistant", content="答え：１２"),
        Message(role="user", content="もう一度考えてください。"),
    )
    later = Request(prompt=Prompt(id="p", messages=turns))
    assert 10 < 30 - preloaded(texts, later, cached=30, prompt=40) < 30
    unrelated = Request(prompt=prompt_of("สวัสดี"))
    assert 0 <= 30 - preloaded(texts, unrelated, cached=30, prompt=40) < 30


def test_context_is_what_each_computed_token_attends_to():
    texts = ComputedTexts()
    _, context = texts.counted(Request(prompt=PROMPT), drawn("ab", "cd", prompt=3, completion=2), "m")
    assert context == (1 + 2 + 3) + 2 * (4 + 5)
    _, again = texts.counted(Request(prompt=PROMPT), drawn("ab", prompt=3, cached=2, completion=2), "m")
    assert again == 3 + (4 + 5)


def test_the_prompt_of_an_equal_call_is_known():
    texts = ComputedTexts()
    request = Request(prompt=PROMPT, prefix="一")
    assert texts.num_prompt(request, "m") is None
    texts.counted(request, drawn("二", prompt=12), "m")
    assert texts.num_prompt(request, "m") == 12
