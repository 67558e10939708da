"""Bodies are read within bounds, whatever stands in their texts."""

import json

import pytest

from nbest.serve.api.bad_request import BadRequestError
from nbest.serve.api.json_body import decode

MANY = 300_000


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":[' + b"[]," * MANY + b"[]]}",
        b'{"a":[' + b"1," * MANY + b"1]}",
        b'{"a":{' + b",".join(b'"%d":1' % i for i in range(MANY)) + b"}}",
        b'{"a":["' + b'","' * MANY + b'"]}',
        b'{"a":[' + rb'"\\",' * MANY + b'""]}',
        b"," * MANY + b'"' * 4_000_000,
    ],
)
def test_more_values_than_a_request_needs_are_refused_before_they_are_decoded(raw):
    with pytest.raises(BadRequestError, match="more than 200000 values"):
        decode(raw)


@pytest.mark.parametrize("text", ['{"[,]"}\\', "、「한국어」,[{", '",', "\\", "ไทย,"])
def test_texts_of_any_length_hold_what_they_like(text):
    body = {"model": "m", "messages": [{"role": "user", "content": text * MANY}]}
    for ascii_only in (True, False):
        assert decode(json.dumps(body, ensure_ascii=ascii_only).encode()) == body


@pytest.mark.parametrize("end", [b"", b"\\", b'"', b'"}', b'"},'])
def test_a_text_that_never_ends_is_passed_once(end):
    with pytest.raises(BadRequestError):
        decode(b'{"a":"' + b',\\"' * 2_000_000 + end * 2)


@pytest.mark.parametrize(
    "raw",
    [rb'{"a":"\ud83d"}', rb'{"a":"%b\ud83dx"}' % (b"a" * 9999), rb'{"a":"\udc00 ' + b"b" * 9999 + b'"}'],
)
def test_half_a_character_is_named_wherever_it_stands(raw):
    with pytest.raises(BadRequestError, match="half a character"):
        decode(raw)
