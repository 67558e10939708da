import msgspec

from nbest.engines.fake import Fake
from nbest.own_texts import with_joined_texts, with_own_texts
from nbest.records import RunWriter, read_outcomes
from nbest.registry import parse
from nbest.run import ask
from nbest.types import Candidate, Logprobs, Outcome, Selection
from scripted import prompt_of

PROMPT = prompt_of("７ + ５ は？", "ja")
SPECS = ("beam(n=4, verifier=logprob)", "revise(sequential=3)", "budget_forcing", "vote(n=3)", "rsa")


def logprobs(*values, top=False):
    tops = tuple({"一": v} for v in values) if top else ()
    return Logprobs(tokens=tuple("字" * len(values)), values=values, top=tops)


def outcome_of(*candidates, winner=None):
    selection = None
    if winner is not None:
        selection = Selection(winner=candidates[winner], weights={winner: 1.0})
    return Outcome(
        prompt=PROMPT, strategy="beam", seed=0, selection=selection, candidates=candidates, usage={}
    )


async def test_what_every_strategy_records_is_read_as_it_was(tmp_path):
    for spec in SPECS:
        outcome = await ask(PROMPT, parse("strategies", spec), {"policy": Fake()}, seed=3)
        assert outcome.candidates, spec
        assert with_joined_texts(with_own_texts(outcome)) == outcome, spec
        with RunWriter(tmp_path / spec.partition("(")[0], {}) as writer:
            writer.append(outcome)
        [read] = read_outcomes(writer.path)
        assert msgspec.json.encode(read) == msgspec.json.encode(outcome), spec


def test_a_record_holds_each_step_and_its_log_probabilities_once():
    first = Candidate(id=0, text="一步\n", finish="step", logprobs=logprobs(-1.0, -2.0, top=True))
    second = Candidate(id=1, text="一步\n二步\n", parents=(0,), logprobs=logprobs(-1.0, -2.0, -3.0, top=True))
    outcome = outcome_of(first, second, winner=1)
    recorded = with_own_texts(outcome)
    assert [c.text for c in recorded.candidates] == ["一步\n", "二步\n"]
    assert recorded.candidates[1].logprobs == logprobs(-3.0, top=True)
    assert recorded.selection.winner.text == "一步\n二步\n"
    assert recorded.selection.winner.logprobs is None
    assert with_joined_texts(recorded) == outcome


def test_what_does_not_continue_its_parent_is_held_in_full():
    first = Candidate(id=0, text="كانت خطوة", logprobs=logprobs(-1.0))
    other = Candidate(id=1, text="أخرى", parents=(0,), logprobs=logprobs(-2.0))
    own = Candidate(id=2, text="كانت خطوة ثانية", parents=(0,), logprobs=logprobs(-5.0))
    fused = Candidate(id=3, text="كانت خطوة", parents=(0, 1))
    outcome = outcome_of(first, other, own, fused, winner=2)
    recorded = with_own_texts(outcome)
    assert [c.text for c in recorded.candidates] == ["كانت خطوة", "أخرى", " ثانية", "كانت خطوة"]
    assert recorded.candidates[2].logprobs == logprobs(-5.0)  # they are not those of the whole text
    assert with_joined_texts(recorded) == outcome


def test_a_long_search_grows_with_its_texts_and_not_with_their_squares(tmp_path):
    steps = [Candidate(id=0, text="шаг 0\n", logprobs=logprobs(-1.0))]
    for i in range(1, 100):
        before = steps[-1]
        values = (*before.logprobs.values, -1.0)
        steps.append(
            Candidate(id=i, text=before.text + f"шаг {i}\n", parents=(i - 1,), logprobs=logprobs(*values))
        )
    with RunWriter(tmp_path, {}) as writer:
        writer.append(outcome_of(*steps, winner=99))
    [shard] = tmp_path.glob("outcomes-*")
    assert shard.stat().st_size < 20 * len(msgspec.json.encode(steps[0])) + 100 * 160
    [read] = read_outcomes(tmp_path)
    assert read.candidates == tuple(steps)
