import json

from nbest.engines.replay import Replay
from nbest.types import ReasoningDelta, Request, ToolCall
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
