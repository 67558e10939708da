import json

import pytest

from nbest.datasets import read_pools, read_prompts, single
from nbest.errors import InputError
from nbest.types import Logprobs


def write(tmp_path, text):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_prompts_and_conversations(tmp_path):
    path = write(
        tmp_path,
        '\ufeff{"prompt": "苹果有几个？", "language": "zh", "answer": "5"}\n\n'
        '{"id": 7, "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "كم؟"}]}\n',
    )
    first, second = read_prompts(path)
    assert (first.prompt.id, first.prompt.text, first.prompt.language) == ("1", "苹果有几个？", "zh")
    assert first.gold == {"answer": "5"}
    assert (second.prompt.id, second.prompt.text) == ("7", "كم؟")


@pytest.mark.parametrize("blank", ["\n", " \t\n", "\r\n"])
def test_blank_lines_count_in_ids_and_messages(tmp_path, blank):
    rows = '{"prompt": "苹果？"}\n' + blank + '{"prompt": "كم؟"}\n'
    assert [item.prompt.id for item in read_prompts(write(tmp_path, rows))] == ["1", "3"]
    with pytest.raises(InputError, match="line 5: not valid JSON"):
        read_prompts(write(tmp_path, rows + blank + "{\n"))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"prompt": ', "line 2: not valid JSON"),
        ("[1]", "line 2: not a JSON object"),
        ('{"question": "x"}', 'line 2: needs "prompt" (text) or "messages" (a conversation), has neither'),
        ('{"prompt": "x", "messages": []}', "has both"),
        ('{"prompt": 5, "messages": []}', "has both"),
        ('{"prompt": 5}', 'line 2: "prompt" is no text but 5'),
        ('{"prompt": ["كم؟"]}', '"prompt" is no text but ["كم؟"]'),
        ('{"prompt": " \\n"}', "line 2: the prompt is empty"),
        ('{"messages": [{"role": "user", "content": ""}]}', "line 2: the prompt is empty"),
        (
            '{"prompt": "x", "language": "Arabic"}',
            "line 2: 'Arabic' is no language code (ISO 639-1): did you mean 'ar'?",
        ),
        ('{"messages": []}', '"messages" is empty'),
        ('{"messages": [{"role": "user"}]}', "missing required field `content`"),
        ('{"prompt": "x", "language": 3}', "expected `str | null`, got `int` - at `$.language`"),
        ('{"prompt": "x", "id": "a"}', "line 2: id 'a' already stands in line 1"),
        ('{"prompt": "x", "id": true}', "expected `str`, got `bool` - at `$.id`"),
        ('{"prompt": "x", "y": ' + "[" * 9999 + "]" * 9999 + "}", "line 2: not valid JSON"),
        (b'{"prompt": "\xff"}', "in UTF-8"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path, row, says):
    row = row if isinstance(row, bytes) else row.encode()
    path = write(tmp_path, b'{"prompt": "ok", "id": "a"}\n' + row + b"\n")
    with pytest.raises(InputError) as e:
        read_prompts(path)
    assert says in str(e.value)
    assert "\n" not in str(e.value)


def test_a_language_may_have_script_and_region_and_an_empty_one_is_none(tmp_path):
    rows = [{"prompt": "x", "language": code} for code in ("zh-Hant", "pt_BR", "", None)]
    found = read_prompts(write(tmp_path, "\n".join(map(json.dumps, rows))))
    assert [item.prompt.language for item in found] == ["zh-Hant", "pt_BR", None, None]
    assert single("x", language="zh-Hant").language == "zh-Hant"
    with pytest.raises(InputError, match=r"language: 'Français' is no language code .*did you mean 'fr'"):
        single("x", language="Français")


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    "turn",
    [
        {"parts": [IMAGE]},
        {"content": " ", "parts": [IMAGE]},
        {"fields": {"tool_calls": [{"id": "a"}]}},
        {"content": "", "fields": {"tool_call_id": "a"}},
    ],
)
def test_a_turn_of_an_image_or_of_calls_alone_is_a_prompt(tmp_path, turn):
    row = {"messages": [{"role": "user"} | turn]}
    [item] = read_prompts(write(tmp_path, json.dumps(row)))
    assert [*item.prompt.messages[0].parts] == turn.get("parts", [])
    assert item.prompt.messages[0].fields == turn.get("fields", {})


@pytest.mark.parametrize("turn", [{"content": " \n"}, {"parts": []}, {"content": "", "fields": {}}])
def test_a_turn_of_nothing_is_no_prompt(tmp_path, turn):
    with pytest.raises(InputError, match="line 1: the prompt is empty"):
        read_prompts(write(tmp_path, json.dumps({"messages": [{"role": "user"} | turn]})))


def test_a_pool_may_have_an_empty_prompt(tmp_path):
    [pool] = read_pools(write(tmp_path, '{"prompt": "", "candidates": ["a"]}'))
    assert pool.prompt.text == ""


def test_a_missing_and_an_empty_file_are_said(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_prompts(str(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="holds no prompt"):
        read_prompts(write(tmp_path, "\n"))


@pytest.mark.parametrize(
    ("row", "meta"),
    [
        ({"human": 1, "meta": {"human": 0, "system": "x"}}, {"human": 1, "system": "x"}),
        ({"meta": "x"}, {"meta": "x"}),
        ({"meta": None, "usage": None}, {}),
        ({"usage": {"tokens": 3}, "parents": ["a"]}, {"usage": {"tokens": 3}, "parents": ["a"]}),
        ({"usage": {"completion": 3}, "parents": [0]}, {}),
    ],
)
def test_what_a_candidate_carries_beyond_our_fields_is_its_meta(tmp_path, row, meta):
    pool = {"prompt": "?", "candidates": ["один", {"text": "два"} | row]}
    [found] = read_pools(write(tmp_path, json.dumps(pool)))
    assert found.candidates[1].meta == meta


def test_pools_recorded_by_anyone(tmp_path):
    path = write(
        tmp_path,
        '{"id": "a", "prompt": "hi", "reference": "r", "candidates": '
        '[{"text": "один", "system": "x", "human": -1.0, "id": "c9"}, "два",'
        ' {"text": "три", "logprobs": {"tokens": ["т"], "values": [-0.5]}, "finish": "eos", "usage": 3},'
        ' {"error": "HTTP 500"}]}\n',
    )
    [pool] = read_pools(path)
    assert pool.gold == {"reference": "r"}
    assert [c.text for c in pool.candidates] == ["один", "два", "три", ""]
    assert [c.id for c in pool.candidates] == [0, 1, 2, 3]
    assert pool.candidates[0].meta == {"system": "x", "human": -1.0}
    assert pool.candidates[2].logprobs == Logprobs(tokens=("т",), values=(-0.5,))
    assert pool.candidates[2].meta == {"finish": "eos", "usage": 3}
    assert not pool.candidates[3].is_usable


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"prompt": "x"}', 'no "candidates" list'),
        ('{"prompt": "x", "candidates": [3]}', "candidate 0: neither a text nor an object"),
        (
            '{"prompt": "x", "candidates": ["a", {"score": 1}]}',
            "candidate 1: object missing required field `text`",
        ),
    ],
)
def test_a_bad_pool_is_named(tmp_path, row, says):
    with pytest.raises(InputError) as e:
        list(read_pools(write(tmp_path, row)))
    assert says in str(e.value)
