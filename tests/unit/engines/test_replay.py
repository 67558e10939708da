import json

import pytest

from nbest.engines.replay import Replay
from nbest.errors import CapabilityError
from nbest.types import Logprobs, ReasoningDelta, Request, SamplingParams, ToolCall
from scripted import prompt_of

PROMPT = prompt_of("१ + १ =")


async def test_a_recorded_text_is_one_delta(tmp_path):
    path = tmp_path / "pools.jsonl"
    path.write_text(json.dumps({"id": "p", "prompt": "१ + १ =", "candidates": ["उत्तर: २", "तीन"]}))
    engine, heard = Replay(path=str(path)), []
    (drawn,) = await engine.generate(Request(prompt=PROMPT), heard.append)
    assert heard == ["उत्तर: २"] == [drawn.text]
    await engine.generate(Request(prompt=PROMPT), heard.append)
    (drawn,) = await engine.generate(Request(prompt=PROMPT), heard.append)
    assert heard == ["उत्तर: २", "तीन"]
    assert drawn.error


async def test_steps_of_a_search_are_no_draws(tmp_path):
    path = tmp_path / "pools.jsonl"
    step = {"text": "पहले", "finish": "step"}
    path.write_text(json.dumps({"id": "p", "prompt": "१ + १ =", "candidates": [step, "उत्तर: २"]}))
    assert [c.text for c in await Replay(path=str(path)).generate(Request(prompt=PROMPT))] == ["उत्तर: २"]


async def test_what_was_called_and_thought_is_replayed(tmp_path):
    path = tmp_path / "pools.jsonl"
    call = {"id": "c", "name": "मौसम", "arguments": "{}"}
    recorded = {"text": "", "tool_calls": [call], "reasoning": "पहले मौसम", "stopped_by": "।"}
    path.write_text(json.dumps({"id": "p", "prompt": "मौसम?", "candidates": [recorded]}))
    prompt = prompt_of("मौसम?")
    heard = []
    (drawn,) = await Replay(path=str(path)).generate(Request(prompt=prompt), heard.append)
    assert heard == [ReasoningDelta(text="पहले मौसम")]
    assert (drawn.reasoning, drawn.stopped_by) == ("पहले मौसम", "।")
    assert drawn.tool_calls == (ToolCall(**call),)


def recorded(tmp_path, *candidates):
    path = tmp_path / "pools.jsonl"
    path.write_text(json.dumps({"id": "p", "prompt": "१ + १ =", "candidates": candidates}))
    return Replay(path=str(path))


def drawn_with(text, **params):
    return {"text": text, "params": params}


async def test_a_draw_is_that_of_its_seed_then_of_its_parameters_then_one_without_any(tmp_path):
    engine = recorded(
        tmp_path,
        "ohne",
        drawn_with("kalt", temperature=0.1, seed=3),
        drawn_with("eins", temperature=0.7, seed=1),
        drawn_with("zwei", temperature=0.7, seed=2),
        drawn_with("drei", temperature=0.7, seed=3),
    )
    params = SamplingParams(temperature=0.7, seed=2)
    texts = [c.text for c in await engine.generate(Request(prompt=PROMPT, n=2, params=params))]
    assert texts == ["zwei", "drei"]
    texts = [c.text for c in await engine.generate(Request(prompt=PROMPT, n=3, params=params))]
    assert texts == ["eins", "ohne", ""]


@pytest.mark.parametrize("other", [{"top_p": 0.9}, {"top_k": 5}, {"min_p": 0.1}, {"temperature": 0.6}])
async def test_a_draw_under_other_parameters_is_another(tmp_path, other):
    engine = recorded(tmp_path, drawn_with("eins", temperature=0.7, seed=1))
    params = SamplingParams(**{"temperature": 0.7, "seed": 1} | other)
    [lost] = await engine.generate(Request(prompt=PROMPT, params=params))
    assert "no further candidate" in lost.error
    same = SamplingParams(temperature=0.7, seed=1, max_tokens=7, logprobs=2)
    [found] = await engine.generate(Request(prompt=PROMPT, params=same))
    assert found.text == "eins"


async def test_log_probabilities_are_those_of_the_same_text(tmp_path):
    logprobs = {"tokens": ["दो"], "values": [-0.5]}
    other = {"tokens": ["एक"], "values": [-0.25]}
    engine = recorded(tmp_path, {"text": "एक", "logprobs": other}, "दो", {"text": "दो", "logprobs": logprobs})
    assert await engine.logprobs(PROMPT, "दो") == Logprobs(tokens=("दो",), values=(-0.5,))
    with pytest.raises(CapabilityError, match="no log-probabilities of that text"):
        await engine.logprobs(PROMPT, "तीन")
