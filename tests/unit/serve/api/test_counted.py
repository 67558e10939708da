"""What would be drawn and not counted is refused, whatever a server calls it."""

import json

import pytest

from nbest.serve.api.bad_request import BadRequestError
from nbest.serve.api.counted import check_counted
from nbest.serve.api.routes import APIS


@pytest.mark.parametrize(
    "name",
    ["n_cmpl", "best_of", "num_return_sequences", "n_parallel", "numCompletions", "candidateCount", "num_beams",
     "beam_width", "use_beam_search", "N_CMPL", "num_samples", "n-choices", "num_candidates"],
)  # fmt: skip
def test_other_names_of_n(name):
    with pytest.raises(BadRequestError, match="nbest"):
        check_counted({name: 64})
    check_counted({name: 1})


@pytest.mark.parametrize(
    "name",
    ["n_predict", "num_predict", "max_new_tokens", "maxOutputTokens", "max_length", "max_tokens_to_sample"],
)
def test_other_names_of_max_tokens(name):
    with pytest.raises(BadRequestError, match="max_tokens"):
        check_counted({name: 100_000})


@pytest.mark.parametrize(
    "body",
    [
        {"options": {"num_predict": 9}},
        {"extra_body": {"n": 9}},
        {"sampling_params": {"n": 64}},
        {"extra_body": {"parameters": {"best_of": 9}}},
        {"generationConfig": {"candidateCount": 2}},
    ],
)
def test_names_within_parameters(body):
    with pytest.raises(BadRequestError) as e:
        check_counted(body)
    assert "." in e.value.param


def test_what_is_no_count_passes():
    check_counted(
        {
            "n_probs": 1,
            "min_tokens": 5,
            "parallel_tool_calls": True,
            "reasoning_effort": "n must be low",
            "tools": [{"function": {"parameters": {"properties": {"n": {}, "best_of": {}}}}}],
            "metadata": {"n_parallel": "9"},
            "options": {"num_ctx": 4096},
        }
    )


@pytest.mark.parametrize("path", sorted(APIS))
@pytest.mark.parametrize("name", ["n_cmpl", "num_return_sequences", "n_predict"])
def test_no_api_passes_them_on(path, name):
    body = {
        "model": "m",
        "input": "三つ",
        "prompt": "三つ",
        "messages": [{"role": "user", "content": "三つ"}],
    }
    if path == "/v1/responses":
        del body["prompt"]
    with pytest.raises(BadRequestError) as e:
        APIS[path].read(json.dumps(body | {name: 64}).encode())
    assert e.value.param == name
