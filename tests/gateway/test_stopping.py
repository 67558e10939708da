"""Stopping rules behind the gateway: draws that are not needed are never made, or cancelled where they run."""

import time

import pytest

from gateway.conftest import QUESTIONS

VOTE = "parallel(sampler=iid(n=8), selector=vote, stop={stop}, wave={wave})"


def ask(client, question, strategy):
    return client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": question}],
        extra_body={"nbest": {"strategy": strategy}},
    )


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_draws_end_where_the_answer_is_certain(client, upstream, question):
    upstream.will("४")
    got = ask(client, question, VOTE.format(stop="adaptive_consistency", wave=2))
    assert got.choices[0].message.content == "४"
    assert upstream.num_asked == 4
    assert got.usage.completion_tokens == 4
    assert got.nbest["stopped"] == "stop"


def test_draws_under_way_are_cancelled_within_a_second(client, upstream):
    upstream.will("४", delay_s=30, num_prompt=4)
    began = time.monotonic()
    got = ask(client, QUESTIONS["hi"], VOTE.format(stop="adaptive_consistency", wave=8))
    assert got.choices[0].message.content == "४"
    assert upstream.reaches("num_cancelled", within_s=1, num=4)
    assert time.monotonic() - began < 10
    assert upstream.num_asked == 8
