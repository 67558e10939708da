"""A streamed reply is the reply in one piece, whatever it holds and wherever it is cut."""

import json

from hypothesis import given
from hypothesis import strategies as st

from nbest.engines.openai.response import completions
from nbest.engines.openai.server_reply import parse_reply
from nbest.engines.openai.stream import CompletionStream
from nbest.errors import EngineProtocolError
from nbest.types import ReasoningDelta, SamplingParams, ToolCallDelta

PARAMS = SamplingParams(max_tokens=9, logprobs=1)
TEXTS = st.text(st.sampled_from("aж三ثहิ🍎 \n"), max_size=8)
WORDS = st.text(st.sampled_from("aж三ثह🍎"), min_size=1, max_size=4)
NAMES = st.sampled_from(["f", "погода", "天気"])
ARGUMENTS = st.dictionaries(WORDS, st.integers(0, 9) | WORDS, max_size=2)
FINISHES = st.sampled_from(["stop", "length", "content_filter", "tool_calls"])
COUNTS = st.none() | st.integers(0, 40)


def logprob_row(token, others):
    top = [{"token": other, "logprob": -2.0 - i} for i, other in enumerate(others)]
    return {"token": token, "logprob": -0.5, "top_logprobs": top}


@st.composite
def choice_of(draw, *, index, has_logprobs):
    """What a server has to say in one choice."""
    kinds = draw(st.sets(st.sampled_from(["reasoning", "text", "calls", "refusal"]), min_size=1))
    message = {}
    if "reasoning" in kinds:
        message[draw(st.sampled_from(["reasoning", "reasoning_content"]))] = draw(WORDS)
    if "text" in kinds:
        message["content"] = draw(WORDS | TEXTS.filter(bool))
    if "refusal" in kinds:
        message["refusal"] = draw(WORDS)
    if "calls" in kinds:
        arguments = draw(st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1, max_size=3))
        message["tool_calls"] = [
            {"id": f"c{i}", "function": {"name": name, "arguments": json.dumps(given, ensure_ascii=False)}}
            for i, (name, given) in enumerate(arguments)
        ]
    choice = {"index": index, "message": message, "finish_reason": draw(FINISHES)}
    if has_logprobs:
        rows = draw(st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=1)), min_size=1, max_size=4))
        choice["logprobs"] = {"content": [logprob_row(*row) for row in rows]}
    stop = draw(st.none() | WORDS)
    if stop is not None:
        choice[draw(st.sampled_from(["stop_reason", "matched_stop"]))] = stop
    return choice


@st.composite
def replies(draw):
    """A reply in one piece, of 1 to 3 choices."""
    n = draw(st.integers(1, 3))
    has_logprobs = draw(st.booleans())
    choices = [draw(choice_of(index=i, has_logprobs=has_logprobs)) for i in range(n)]
    usage = {
        "prompt_tokens": draw(COUNTS),
        "completion_tokens": draw(COUNTS),
        "prompt_tokens_details": {"cached_tokens": draw(COUNTS)},
        "completion_tokens_details": {"reasoning_tokens": draw(COUNTS)},
    }
    return {"choices": choices, "usage": draw(st.none() | st.just(usage))}


def parts(draw, text):
    """`text` in one or more parts, some of them empty."""
    edges = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *edges], [*edges, len(text)], strict=True)]


def deltas_of(draw, choice):
    """The chunks of one choice, in the order that servers write."""
    message = choice["message"]
    deltas = [{"role": "assistant", "content": None}]
    for name in ("reasoning", "reasoning_content", "content", "refusal"):
        if name in message:
            deltas += [{name: part} for part in parts(draw, message[name])]
    for i, call in enumerate(message.get("tool_calls", ())):
        first, *more = parts(draw, call["function"]["arguments"])
        function = {"name": call["function"]["name"], "arguments": first}
        deltas.append({"tool_calls": [{"index": i, "id": call["id"], "function": function}]})
        deltas += [{"tool_calls": [{"index": i, "function": {"arguments": part}}]} for part in more]

    chunks = [{"index": choice["index"], "delta": delta, "finish_reason": None} for delta in deltas]
    for row in choice.get("logprobs", {}).get("content", ()):
        place = draw(st.integers(0, len(chunks) - 1))
        logprobs = chunks[place].setdefault("logprobs", {"content": []})
        logprobs["content"].append(row)
    last = {k: v for k, v in choice.items() if k not in {"message", "logprobs"}} | {"delta": {}}
    if draw(st.booleans()):  # some servers repeat the whole message beside the last delta
        last["message"] = message
    return [*chunks, last]


def in_order(chunks):
    """Log-probabilities stand in the order of their chunks."""
    rows = [row for chunk in chunks for row in (chunk.get("logprobs") or {}).get("content", ())]
    return {"content": rows}


@given(replies(), st.data())
def test_a_streamed_reply_is_the_reply_in_one_piece(reply, data):
    queues = [deltas_of(data.draw, choice) for choice in reply["choices"]]
    for choice, chunks in zip(reply["choices"], queues, strict=True):
        if "logprobs" in choice:
            choice["logprobs"] = in_order(chunks)

    events = []
    while any(queues):
        queue = data.draw(st.sampled_from([q for q in queues if q]))
        events.append({"choices": [queue.pop(0)]})
    if reply["usage"] is not None and data.draw(st.booleans()):
        events[-1]["usage"] = reply["usage"]
    elif reply["usage"] is not None:
        events.append({"choices": [], "usage": reply["usage"]})
    raw = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"
    size = data.draw(st.integers(1, 40))

    emitted = []
    stream = CompletionStream(emitted.append, n=len(reply["choices"]))
    for at in range(0, len(raw), size):
        stream.feed(raw[at : at + size])
    stream.close()

    assert drawn(stream.reply()) == drawn(parse_reply(json.dumps(reply).encode()))
    check_emitted(emitted, reply["choices"][0]["message"])


def drawn(reply):
    """The completions of a reply, or why it has none."""
    try:
        return completions(reply, PARAMS)
    except EngineProtocolError as e:
        return str(e)


def check_emitted(emitted, message):
    """The first choice was emitted whole, in the order of an answer."""
    kinds = [(ReasoningDelta, str, ToolCallDelta).index(type(delta)) for delta in emitted]
    assert kinds == sorted(kinds)
    reasoning = "".join(delta.text for delta in emitted if isinstance(delta, ReasoningDelta))
    assert reasoning == message.get("reasoning", message.get("reasoning_content", ""))
    assert "".join(delta for delta in emitted if isinstance(delta, str)) == message.get("content", "")

    calls = {}
    for delta in emitted:
        if isinstance(delta, ToolCallDelta):
            known = calls.setdefault(delta.index, {"id": delta.id, "name": "", "arguments": ""})
            known["name"] += delta.name
            known["arguments"] += delta.arguments
    expected = [{"id": call["id"], **call["function"]} for call in message.get("tool_calls", ())]
    assert [calls[i] for i in sorted(calls)] == expected


@given(st.lists(st.tuples(WORDS, st.integers(1, 9), st.booleans()), min_size=1, max_size=4), st.data())
def test_counts_behind_each_choice_are_its_own(choices, data):
    """As llama.cpp's server counts: each choice at its end, with the prompt of the whole call."""
    order = data.draw(st.permutations(range(len(choices))))
    stream = CompletionStream(n=len(choices))
    for index in order:
        text, num_tokens, is_apart = choices[index]
        usage = {"prompt_tokens": 7, "completion_tokens": num_tokens}
        chunk = {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": "stop"}]}
        chunks = [chunk, {"choices": [], "usage": usage}] if is_apart else [chunk | {"usage": usage}]
        for event in chunks:
            stream.feed(f"data: {json.dumps(event)}\n\n".encode())
    stream.close()
    found = completions(stream.reply(), PARAMS)
    assert [c.text for c in found] == [text for text, _, _ in choices]
    assert [c.usage.completion for c in found] == [num for _, num, _ in choices]
    assert [(c.usage.prompt, c.usage.calls) for c in found] == [(7, 1), *[(0, 0)] * (len(choices) - 1)]


@given(st.lists(WORDS, min_size=1, max_size=4), st.booleans())
def test_messages_instead_of_deltas_add_up_whether_each_is_a_part_or_all_so_far(words, is_cumulative):
    emitted = []
    stream = CompletionStream(emitted.append)
    text = ""
    for word in words:
        part = f"<{word}>"
        text += part
        message = {"content": text if is_cumulative else part}
        stream.feed(f"data: {json.dumps({'choices': [{'message': message}]})}\n\n".encode())
    stream.feed(b"data: [DONE]\n\n")
    stream.close()
    [found] = completions(stream.reply(), PARAMS)
    if is_cumulative or len(set(words)) == len(words):
        assert found.text == "".join(emitted) == text
