import pytest

from nbest.errors import InputError
from nbest.evaluate.prompt_index import PromptIndex, content_of, contents_of
from nbest.types import Message, Prompt


def prompts(**texts):
    return contents_of(
        Prompt(id=id_, messages=(Message(role="user", content=text),)) for id_, text in texts.items()
    )


def test_prompts_have_the_number_of_what_they_ask():
    index = PromptIndex()
    assert index.add("a", prompts(x="一", y="二", z="三")) == {"x": 0, "y": 1, "z": 2}
    assert index.add("b", prompts(z="三", x="一")) == {"z": 2, "x": 0}
    assert index.add("c", prompts(z="二", y="一", w="四")) == {"z": 1, "y": 0, "w": 3}
    assert index.ids == ["x", "y", "z", "w"]


def test_an_id_that_stands_for_another_prompt_is_refused():
    index = PromptIndex()
    index.add("a", prompts(x="одно", y="другое"))
    with pytest.raises(InputError, match="b and an earlier run have different prompts under id 'x'"):
        index.add("b", prompts(x="третье", y="другое"))


def test_of_prompts_that_ask_the_same_only_equal_ids_are_one():
    index = PromptIndex()
    assert index.add("a", prompts(x="कितने?", y="कितने?")) == {"x": 0, "y": 1}
    assert index.add("b", prompts(y="कितने?", z="कितने?")) == {"y": 1, "z": 2}
    assert index.add("c", prompts(v="कितने?")) == {"v": 3}  # one of three: nobody knows which


def test_the_whole_conversation_is_what_is_asked():
    def content(**changes):
        given = {"role": "user", "content": "ไข่"} | changes
        return content_of(Prompt(id="p", messages=(Message(**given),)))

    assert content() == content()
    different = {
        content(),
        content(role="system"),
        content(content="ไก่"),
        content(parts=({"type": "image_url", "image_url": {"url": "a"}},)),
        content(fields={"name": "x"}),
    }
    assert len(different) == 5
