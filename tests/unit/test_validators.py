"""Texts held against schemas."""

import json
import time

import pytest

from nbest import validators
from nbest.errors import InputError
from nbest.offload import counts
from nbest.validators import ByteCache, check_schemas, problems, sized

WORD = {"type": "object", "properties": {"답": {"type": "integer"}}, "required": ["답"]}
FIELD = "response_format"


def slow(pairs):
    time.sleep(60)


async def checked(schema, *texts, seconds=None):
    return await problems([(sized(schema, FIELD), text) for text in texts], seconds=seconds)


async def test_a_small_schema_is_checked_without_another_process():
    num_done = counts.num_done
    fits, breaks, no_json = await checked(WORD, '{"답": 4}', '{"답": "넷"}', "넷")
    assert fits is None
    assert "넷" in breaks
    assert no_json.startswith("it is no JSON")
    assert counts.num_done == num_done


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string", "pattern": r"^\p{Thai}+$"}},
        {"$defs": {"t": {"type": ["array", "string"], "items": {"$ref": "#/$defs/t"}}}, "$ref": "#/$defs/t"},
    ],
)
async def test_a_costly_one_is_checked_in_another(schema):
    num_done = counts.num_done
    assert (await checked(schema, '["สี่"]', '["four", 4]'))[0] is None
    assert (await checked(schema, '["four", 4]'))[0]
    assert counts.num_done > num_done


async def test_long_texts_are_checked_in_another():
    num_done = counts.num_done
    long = json.dumps({"답": 4, "理由": "因" * 500_000})
    assert await checked(WORD, long, '{"답": 4}') == [None, None]
    assert counts.num_done == num_done + 1


async def test_what_takes_too_long_does_not_fit(monkeypatch):
    monkeypatch.setattr(validators, "problems_of", slow)
    [why] = await checked({"pattern": "四"}, '"四"', seconds=0.2)
    assert why.startswith("it could not be checked: ")


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"(a*)*\1b", r"(?=(a+)+$)b", r"(x+x+)+y\1"])
async def test_no_pattern_runs_away(pattern):
    """Look-around in front of something linear is still quadratic: then time is up."""
    assert (await checked({"pattern": pattern}, json.dumps("a" * 50_000 + "x" * 50_000 + "!"), seconds=1))[0]


async def test_schemas_are_small_enough_together():
    one = {"properties": {str(i): {"type": "string"} for i in range(800)}}
    await check_schemas([sized(one, "tools")])
    with pytest.raises(InputError, match=r"^tools: all schemas of the request together have more than"):
        await check_schemas([sized({**one, "title": str(i)}, "tools") for i in range(4)])


@pytest.mark.parametrize("schema", [{"pattern": "("}, {"pattern": r"\p{L}{500}"}, {"type": "x"}, 3])
async def test_a_schema_that_cannot_be_compiled_is_refused(schema):
    with pytest.raises(InputError, match=r"^response_format holds no usable JSON schema"):
        await check_schemas([sized(schema, FIELD)])


def test_a_cache_holds_so_many_bytes_and_forgets_what_was_used_longest_ago():
    cache = ByteCache(100)
    cache.put(b"a", 1, 39)
    cache.put(b"b", 2, 39)
    assert cache.get(b"a") == 1
    cache.put(b"c", 3, 39)
    assert (cache.get(b"a"), cache.get(b"b"), cache.get(b"c")) == (1, None, 3)
    assert cache.num_bytes == 80
    cache.put(b"d", 4, 100)
    assert cache.get(b"d") is None
    assert cache.num_bytes == 80
