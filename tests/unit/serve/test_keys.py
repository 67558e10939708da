import tomllib

import msgspec
import pytest

from nbest.errors import InputError
from nbest.serve import keys as keys_module
from nbest.serve.api_errors import ApiError
from nbest.serve.keys import ANYONE, Keys, hash_of, new_key
from nbest.settings.gateway import Key


def key(name):
    secret, toml = new_key(name)
    return secret, msgspec.convert(tomllib.loads(toml)["serve"]["keys"][0], Key)


@pytest.mark.parametrize("name", ["ana", 'say "hi" \\', "مفتاح", "鍵", "two\nlines"])
def test_a_new_key_and_its_lines_of_toml_fit(name):
    secret, entry = key(name)
    assert secret.startswith("nbest-")
    assert len(secret) == len("nbest-") + 43
    assert entry.name == name
    assert Keys([entry]).who({"authorization": f"Bearer {secret}"}) == entry
    assert secret not in repr(entry)


@pytest.mark.parametrize("name", ["", "鍵" * 65])
def test_a_name_that_the_configuration_would_not_take(name):
    with pytest.raises(InputError, match="1 to 64 characters, got"):
        new_key(name)


def test_no_two_keys_are_alike():
    assert len({new_key("x")[0] for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {}"},
        {"authorization": "bearer   {} "},
        {"api-key": "{}"},
        {"x-api-key": "{}"},
        {"authorization": "Basic abc", "x-api-key": "{}"},
    ],
)
def test_where_a_key_may_stand(headers):
    (_, other), (secret, entry) = key("other"), key("mine")
    who = Keys([other, entry]).who({k: v.format(secret) for k, v in headers.items()})
    assert who.name == "mine"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "no API key was sent"),
        ({"authorization": "Bearer "}, "no API key was sent"),
        ({"authorization": "Basic abc"}, "no API key was sent"),
        ({"authorization": "Bearer nbest-secret"}, "does not know the API key"),
        ({"authorization": "Bearer sécret\udcff"}, "does not know the API key"),
    ],
)
def test_strangers_are_refused_and_their_keys_not_repeated(headers, says):
    with pytest.raises(ApiError, match=says) as e:
        Keys([key("mine")[1]]).who(headers)
    assert (e.value.status, e.value.code) == (401, "invalid_api_key")
    assert "cret" not in str(e.value)


def test_the_hash_itself_is_no_key():
    _, entry = key("mine")
    with pytest.raises(ApiError):
        Keys([entry]).who({"authorization": f"Bearer {entry.sha256}"})


def test_every_key_is_compared_whichever_fits(monkeypatch):
    compared = []

    def compare(a, b):
        compared.append(a)
        return a == b

    monkeypatch.setattr(keys_module.hmac, "compare_digest", compare)
    (secret, first), (_, second), (_, third) = key("a"), key("b"), key("c")
    assert Keys([first, second, third]).who({"api-key": secret}) == first
    assert compared == [first.sha256, second.sha256, third.sha256]


def test_without_keys_anybody_may_ask():
    assert Keys([]).who({"authorization": "Bearer whatever"}) is ANYONE
    assert hash_of("") != ANYONE.sha256
