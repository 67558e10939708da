import asyncio
from dataclasses import dataclass, field

import pytest

from nbest import registry
from nbest.accounting.meter import total
from nbest.engines.fake import Fake
from nbest.errors import (
    CapabilityError,
    EngineError,
    EngineHttpError,
    EngineTimeoutError,
    SpecError,
    UnreachableError,
)
from nbest.protocols import Capabilities
from nbest.report.dot import to_dot
from nbest.run import ask
from nbest.scoring.logprob import Logprob
from nbest.search.abmcts import Abmcts
from nbest.search.beam import Beam
from nbest.search.dora import Dora
from nbest.search.dvts import Dvts
from nbest.search.rebase import Rebase
from nbest.selection.best import Best
from nbest.selection.first import First
from nbest.strategies.tree import Tree
from nbest.types import (
    Budget,
    Completion,
    Overrides,
    Request,
    SamplingParams,
    Score,
    ToolCall,
    Usage,
    replace,
)
from scripted import PROMPT, Scripted
from specs import all_of

LINES = ("ตัวเลข: ๓", "ขั้น ๒", "คำตอบ: ๔๒")


@dataclass(eq=False, kw_only=True)
class Steps(Scripted):
    """Writes LINES one a step, with the draw's number within its call at the end."""

    names_stop: bool = True
    fail: object = None
    lines: tuple[str, ...] = LINES

    async def capabilities(self):
        return Capabilities(names_stop=self.names_stop)

    def say(self, request):
        if self.fail and self.fail(request):
            return EngineError("no")
        return [self._one(request, i) for i in range(request.n)]

    def _one(self, request, i):
        k = request.prefix.count("\n")
        usage = Usage(completion=5, calls=int(i == 0))
        if k >= len(self.lines):
            return Completion(text="", usage=usage)
        if not request.params.stop:
            return Completion(text="\n".join(self.lines[k:]), usage=usage)
        is_last = k == len(self.lines) - 1
        text = self.lines[k] + ("" if is_last else f" ({i})")
        stopped_by = "\n" if self.names_stop and not is_last else None
        return Completion(text=text, usage=usage, stopped_by=stopped_by)


@dataclass
class Counting:
    """Likes the later draws of the first step; remembers every text that it was shown."""

    shown: list = field(default_factory=list)
    unscored: bool = False

    async def __call__(self, prompt, candidates, ctx):
        self.shown.append([c.text for c in candidates])
        return [
            Score(value=None if self.unscored else float(c.text.split("(")[1][0]) if "(" in c.text else 0.0)
            for c in candidates
        ]


def solve(engine, strategy, **how):
    return asyncio.run(ask(PROMPT, strategy, {"policy": engine}, **how))


def test_steps_end_at_the_line_and_the_line_end_is_in_the_prefix_of_the_next():
    engine, verifier = Steps(), Counting()
    outcome = solve(engine, Tree(search=Beam(n=4, width=2), verifier=verifier))
    assert [(r.prefix, r.n) for r in engine.requests] == [
        ("", 4),
        ("ตัวเลข: ๓ (3)\n", 2),
        ("ตัวเลข: ๓ (2)\n", 2),
        ("ตัวเลข: ๓ (3)\nขั้น ๒ (0)\n", 2),
        ("ตัวเลข: ๓ (3)\nขั้น ๒ (1)\n", 2),
    ]
    assert [c.finish for c in outcome.candidates] == ["step"] * 8 + ["stop"] * 4
    assert [c.parents for c in outcome.candidates] == [()] * 4 + [(3,)] * 2 + [(2,)] * 2 + [(4,)] * 2 + [
        (5,)
    ] * 2
    assert outcome.text == "ตัวเลข: ๓ (3)\nขั้น ๒ (0)\nคำตอบ: ๔๒"
    assert outcome.selection.details["values"]["3"] == 3.0


def test_each_text_is_scored_once_and_each_round_in_one_batch():
    engine, verifier = Steps(), Counting()
    solve(engine, Tree(search=Beam(n=4, width=2), verifier=verifier))
    texts = [t for batch in verifier.shown for t in batch]
    assert len(verifier.shown) == 3
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize("search", [Dvts(n=8, width=2), Abmcts(n=4, parallel=4)], ids=["dvts", "abmcts"])
def test_what_is_wished_for_of_one_text_is_one_request(search):
    engine = Steps()
    outcome = solve(engine, Tree(search=search, verifier=Counting()))
    asked = [(r.prefix, r.params.temperature) for r in engine.requests]
    assert asked[0][0] == ""
    assert engine.requests[0].n == search.n
    assert len(asked) == len(set(asked))
    assert len([c for c in outcome.candidates if c.finish == "stop"]) == search.n


def test_seeds_of_all_draws_differ():
    engine = Steps()
    solve(engine, Tree(search=Beam(n=4, width=2), verifier=Counting()))
    seeds = [r.params.seed + i for r in engine.requests for i in range(r.n)]
    assert len(seeds) == len(set(seeds)) == 12


def test_from_an_engine_that_does_not_say_what_ended_a_text_steps_are_cut_here():
    engine = Steps(names_stop=False)
    outcome = solve(engine, Tree(search=Beam(n=2, width=2), verifier=Counting()))
    assert not any(r.params.stop for r in engine.requests)
    assert [c.text.splitlines()[-1] for c in outcome.candidates] == [line for line in LINES for _ in range(2)]
    assert [c.finish for c in outcome.candidates] == ["step"] * 4 + ["stop"] * 2
    assert outcome.text == "\n".join(LINES)
    assert any("does not say what ended a text" in note for note in outcome.notes)


def test_what_was_drawn_beyond_a_steps_end_does_not_count_against_max_tokens():
    engine = Steps(names_stop=False)
    tree = Tree(search=Beam(n=1, width=1), verifier=Counting(), step_tokens=20, max_tokens=20)
    solve(engine, tree)
    assert 20 - 5 < engine.requests[1].params.max_tokens < 20


def test_the_same_words_as_a_step_and_as_an_answer_are_two_texts():
    @dataclass
    class Both(Steps):
        def _one(self, request, i):
            return Completion(text="" if request.prefix else "四", finish=("length", "stop")[i % 2])

    async def verifier(prompt, candidates, ctx):
        return [Score(value=float(c.finish == "stop")) for c in candidates]

    outcome = solve(Both(), Tree(search=Beam(n=2, width=2, rounds=1), verifier=verifier))
    assert outcome.selection.details["values"] == {"0": 0.0, "1": 1.0}


def test_a_deadline_that_passes_in_the_verifier_ends_the_search():
    async def verifier(prompt, candidates, ctx):
        await asyncio.sleep(0.3)
        return [Score(value=1.0) for _ in candidates]

    engine = Steps()
    tree = Tree(search=Beam(n=2, width=2), verifier=verifier)
    outcome = solve(engine, tree, budget=Budget(seconds=0.2))
    assert (outcome.stopped, len(engine.requests)) == ("deadline", 1)


def test_dora_compares_the_last_steps_alone():
    compared = []

    async def similarity(hypotheses, references, ctx):
        compared.append(set(hypotheses))
        return [[float(a == b) for b in references] for a in hypotheses]

    solve(Steps(), Tree(search=Dora(n=2, similarity=similarity), verifier=Counting()))
    assert compared[1] <= {f"ขั้น ๒ ({i})\n" for i in range(2)}


def test_an_engine_that_continues_nothing_is_refused_before_anything_is_drawn():
    class Deaf(Steps):
        async def capabilities(self):
            return Capabilities(prefix=False)

    engine = Deaf()
    with pytest.raises(CapabilityError, match="does not continue a text"):
        solve(engine, Tree(verifier=Counting()))
    assert not engine.requests


def test_agreeing_answers_share_their_values():
    """Two answers worth 0.4 each against one of 0.6: best-of-N weighted."""

    @dataclass
    class Answers(Steps):
        def _one(self, request, i):
            return Completion(text=f"Answer: {(7, 8, 8)[i]}", usage=Usage(completion=1))

    async def verifier(prompt, candidates, ctx):
        return [Score(value=0.6 if "7" in c.text else 0.4) for c in candidates]

    search = Beam(n=3, width=1)
    assert solve(Answers(), Tree(search=search, verifier=verifier)).text == "Answer: 8"
    best = Tree(search=search, verifier=verifier, selector=Best(scorer=verifier))
    assert solve(Answers(), best).text == "Answer: 7"


@pytest.mark.parametrize(
    ("aggregate", "expected"), [("last", 0.0), ("min", 0.0), ("product", 0.0), ("mean", 2 / 3)]
)
def test_values_over_the_steps(aggregate, expected):
    async def verifier(prompt, candidates, ctx):
        return [Score(value=0.0 if "๔๒" in c.text else 1.0) for c in candidates]

    tree = Tree(search=Beam(n=1, width=1), verifier=verifier, aggregate=aggregate)
    assert solve(Steps(), tree).selection.details["values"]["2"] == pytest.approx(expected)


def test_steps_that_were_looked_ahead_from_have_the_value_that_was_found_there():
    async def verifier(prompt, candidates, ctx):
        assert all("ขั้น" in c.text for c in candidates)  # first steps are judged by where they lead
        return [Score(value=0.7) for _ in candidates]

    outcome = solve(Steps(), Tree(search=Beam(n=2, width=2, lookahead=1), verifier=verifier))
    assert outcome.selection.details["values"]["0"] == 0.7
    assert outcome.candidates[2].params.temperature == 0


def test_all_copies_of_a_step_that_was_looked_ahead_from_have_its_value():
    @dataclass
    class Twice(Steps):
        def _one(self, request, i):
            return super()._one(request, i // 2)

    async def verifier(prompt, candidates, ctx):
        return [Score(value=0.7) for _ in candidates]

    outcome = solve(Twice(), Tree(search=Beam(n=4, width=2, lookahead=1), verifier=verifier))
    steps = [c for c in outcome.candidates if c.finish == "step"]
    assert len({c.text for c in steps}) < len(steps)
    assert {str(c.id) for c in steps} <= outcome.selection.details["values"].keys()


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [("last", 0.9), ("min", 0.2), ("product", 0.2 * 0.9 * 0.9), ("mean", (0.2 + 0.9 + 0.9) / 3)],
)
def test_steps_that_were_looked_ahead_from_count_in_the_answers_value(aggregate, expected):
    assert values_after_looking(1, aggregate) == pytest.approx([expected] * 2)


def test_also_where_they_were_looked_ahead_from_far():
    assert values_after_looking(2, "product") == pytest.approx([0.9**3] * 2)


def values_after_looking(lookahead, aggregate):
    """Of answers that were sampled: with lookahead=1 the first step came to a step (0.2), all else to answers (0.9)."""

    @dataclass
    class ObservabilityHub(Steps):
        def _one(self, request, i):
            drawn = super()._one(request, i)
            return replace(drawn, text=drawn.text + "!" * (request.params.temperature == 0))

    async def verifier(prompt, candidates, ctx):
        return [Score(value=0.2 if c.finish == "step" else 0.9) for c in candidates]

    search = Beam(n=2, width=1, lookahead=lookahead)
    outcome = solve(ObservabilityHub(), Tree(search=search, verifier=verifier, aggregate=aggregate))
    values = outcome.selection.details["values"]
    return [values[str(c.id)] for c in outcome.candidates if c.finish == "stop" and "!" not in c.text]


def test_the_verifier_sees_the_ends_of_greedy_continuations_alone():
    verifier = Counting()
    tree = Tree(search=Beam(n=2, width=2, lookahead=2, rounds=1), verifier=verifier)
    solve(Steps(lines=LINES + LINES), tree)
    assert [[t.count("\n") for t in batch] for batch in verifier.shown[:1]] == [[3, 3]]


def test_a_scorers_own_steps_count_first():
    async def verifier(prompt, candidates, ctx):
        return [Score(value=0.5, steps=(0.9, 0.2, 0.5)) for _ in candidates]

    for aggregate, expected in [("last", 0.5), ("min", 0.2), ("product", 0.09), ("mean", 1.6 / 3)]:
        tree = Tree(search=Beam(n=1, width=1), verifier=verifier, aggregate=aggregate)
        assert solve(Steps(), tree).selection.details["values"]["2"] == pytest.approx(expected)


def test_log_probabilities_of_a_step_are_those_of_the_whole_text():
    outcome = solve(Fake(), Tree(search=Beam(n=2, width=1), verifier=Logprob()))
    for c in outcome.candidates:
        assert "".join(c.logprobs.tokens) == c.text.replace("\n", "")


def test_a_verifier_that_cannot_say_anything_leaves_an_answer_all_the_same():
    outcome = solve(Steps(), Tree(search=Beam(n=2, width=2), verifier=Counting(unscored=True)))
    assert outcome.text.endswith("๔๒")


@pytest.mark.parametrize("samples", range(1, 14))
def test_a_budget_is_spent_on_whole_answers_in_the_end(samples):
    engine = Steps()
    outcome = solve(
        engine, Tree(search=Beam(n=4, width=2), verifier=Counting()), budget=Budget(samples=samples)
    )
    # A search for 4 answers takes 4 samples, and no more are ever worse.
    assert len(outcome.candidates) == (samples if samples < 4 else 12)
    assert outcome.stopped == ("budget" if samples < 4 else "done")
    assert sum(c.finish == "stop" for c in outcome.candidates) == min(samples, 4)
    assert outcome.selection.winner.finish == "stop"
    if samples < 4:  # no room for one round, each of whose steps may finish an answer: whole answers
        assert outcome.text == "\n".join(LINES)
        assert [r.params.temperature for r in engine.requests] == [0.0, 0.8][:samples]
    else:
        assert outcome.text.startswith("ตัวเลข: ๓ (")


@pytest.mark.parametrize("samples", [1, 2, 5, 7, 9, 40])
def test_every_whole_answer_has_the_verifiers_value_whenever_it_was_drawn(samples):
    strategy = Tree(search=Beam(n=4, width=2), verifier=Counting())
    outcome = solve(Steps(), strategy, budget=Budget(samples=samples))
    whole = [c for c in outcome.candidates if c.is_usable and c.finish == "stop"]
    values = outcome.selection.details["values"]
    expected = {str(c.id): float(c.text.split("(")[1][0]) if "(" in c.text else 0.0 for c in whole}
    assert whole
    assert {id_: values.get(id_) for id_ in expected} == expected


class TestOneAnswerIsAlwaysPaidFor:
    tree = registry.parse("strategies", "beam(n=4, width=2, verifier=rollouts(k=4, max_tokens=100))")

    @pytest.mark.parametrize("samples", range(1, 61))
    def test_whatever_a_verifier_draws(self, samples):
        outcome = solve(Steps(), self.tree, budget=Budget(samples=samples))
        assert outcome.selection.winner.finish == "stop"
        num_answers = sum(c.finish == "stop" for c in outcome.candidates)
        verified = outcome.usage.get("verifier", Usage()).completion // 5
        assert num_answers + verified <= samples

    @pytest.mark.parametrize("tokens", range(20, 3000, 149))
    def test_in_tokens_too(self, tokens):
        outcome = solve(Steps(), self.tree, budget=Budget(tokens=tokens))
        assert outcome.selection.winner.finish == "stop"
        assert total(outcome.usage).completion <= tokens

    def test_nothing_is_held_back_from_the_verifier_once_there_is_one(self):
        left = []

        async def verifier(prompt, candidates, ctx):
            left.append(ctx.samples_left)
            return [Score(value=1.0) for _ in candidates]

        tree = Tree(search=Beam(n=2, width=2), verifier=verifier)
        solve(Steps(lines=LINES[:2]), tree, budget=Budget(samples=5))
        assert left == [
            5 - 1 - 1,
            5 - 2,
        ]  # one is held back, and steps are a part of one; then two are finished


def test_a_verifier_that_the_budget_cut_short_ends_the_search():
    async def verifier(prompt, candidates, ctx):
        await ctx.complete([Request(prompt=prompt, role="verifier", params=SamplingParams(max_tokens=9999))])
        return [Score(value=None) for _ in candidates]

    engine = Steps()
    outcome = solve(engine, Tree(search=Beam(n=2), verifier=verifier), budget=Budget(tokens=9000))
    assert [r.prefix for r in engine.requests if r.params.stop] == [""]
    assert (outcome.stopped, outcome.selection.winner.finish) == ("budget", "stop")


class TestATokenBudget:
    tree = Tree(search=Beam(n=8, width=2), verifier=Counting())

    def test_that_pays_no_round_pays_several_answers(self):
        engine = Steps()
        outcome = solve(engine, self.tree, budget=Budget(tokens=300))
        assert [(c.finish, c.parents) for c in outcome.candidates] == [("stop", ())] * 8
        assert [(r.n, r.params.max_tokens, r.params.temperature) for r in engine.requests] == [
            (1, 300, 0.0),
            (7, (300 - 5) // 7, 0.8),
        ]

    @pytest.mark.parametrize(("tokens", "num_answers"), [(4, 0), (5, 1), (10, 2), (19, 3), (20, 4), (25, 5)])
    def test_is_spent_to_the_end(self, tokens, num_answers):
        @dataclass
        class Cut(Steps):
            def _one(self, request, i):
                most = request.params.max_tokens
                whole = super()._one(request, i)
                if most >= 5:
                    return whole
                return replace(whole, text="…", finish="length", usage=Usage(completion=most))

        outcome = solve(Cut(), self.tree, budget=Budget(tokens=tokens))
        assert [c.finish for c in outcome.candidates] == ["stop"] * num_answers or num_answers == 0
        assert total(outcome.usage).completion <= tokens

    def test_makes_steps_shorter_before_it_ends_the_search(self):
        engine = Steps()
        outcome = solve(engine, self.tree, budget=Budget(tokens=1500))
        assert [r.params.max_tokens for r in engine.requests][:2] == [1500 // 2 // 8, (1500 - 40) // 2 // 8]
        assert (outcome.stopped, len(outcome.candidates)) == ("done", 24)
        assert not outcome.notes

    def test_is_measured_by_the_clients_max_tokens_where_these_are_fewer(self):
        engine, prompt = Steps(), replace(PROMPT, overrides=Overrides(max_tokens=20))
        asyncio.run(ask(prompt, self.tree, {"policy": engine}, budget=Budget(tokens=150)))
        assert (engine.requests[0].n, engine.requests[0].params.max_tokens) == (8, (150 - 20) // 8)

    def test_says_where_it_cut_a_step(self):
        @dataclass
        class Long(Steps):
            def _one(self, request, i):
                most = request.params.max_tokens
                return Completion(text="…", finish="length", usage=Usage(completion=most))

        for tokens, is_said in ((1500, True), (99_999, False)):
            notes = solve(Long(), self.tree, budget=Budget(tokens=tokens)).notes
            assert any("cut before step_tokens" in note for note in notes) == is_said

    def test_of_engines_that_count_nothing_ends_too(self):
        @dataclass
        class Mute(Steps):
            def _one(self, request, i):
                return replace(super()._one(request, i), usage=Usage())

        assert len(solve(Mute(), self.tree, budget=Budget(tokens=100)).candidates) == 8


def test_draws_that_are_left_go_on_from_the_same_step_differently():
    engine = Steps(fail=lambda r: bool(r.prefix) and bool(r.params.stop))
    tree = Tree(search=Beam(n=2, width=2), verifier=Counting())
    outcome = solve(engine, tree, budget=Budget(samples=6))
    assert sum(c.finish == "stop" for c in outcome.candidates) == 2

    @dataclass
    class Same(Steps):
        def _one(self, request, i):
            return super()._one(request, 0)

    engine = Same(lines=LINES * 2)
    one_round = Tree(search=Beam(n=16, rounds=1), verifier=Counting())
    outcome = solve(engine, one_round, budget=Budget(samples=20))
    rest = [(r.prefix, r.n, r.params.temperature) for r in engine.requests[1:]]
    assert rest == [("ตัวเลข: ๓ (0)\n", 1, 0.0), ("ตัวเลข: ๓ (0)\n", 15, 0.8)]
    assert len(outcome.candidates) == 16 + 16


@dataclass
class Clock:
    now: float = 0.0

    def monotonic(self):
        return self.now


class TestNearTheDeadline:
    def searched(self, monkeypatch, engine):
        clock = Clock()
        for module in ("budget", "strategies.tree_rounds"):
            monkeypatch.setattr(f"nbest.{module}.time", clock)

        async def slow(prompt, candidates, ctx):
            clock.now += 10
            return [Score(value=1.0) for _ in candidates]

        return solve(engine, Tree(search=Beam(n=2), verifier=slow), budget=Budget(seconds=45))

    def test_a_search_that_would_be_late_finishes_early(self, monkeypatch):
        engine = Steps(lines=("…",) * 20)
        outcome = self.searched(monkeypatch, engine)
        assert (outcome.stopped, outcome.selection.winner.finish) == ("deadline", "stop")
        assert [r.prefix.count("\n") for r in engine.requests] == [0, 1, 2, 3]

    def test_one_that_has_an_answer_goes_on(self, monkeypatch):
        @dataclass
        class Brief(Steps):
            def _one(self, request, i):
                return super()._one(request, i) if request.prefix or i else Completion(text="๔๒")

        engine = Brief(lines=("…",) * 20)
        outcome = self.searched(monkeypatch, engine)
        assert (outcome.stopped, outcome.text) == ("deadline", "๔๒")
        assert [r.prefix.count("\n") for r in engine.requests] == [0, 1, 2, 3, 4]


class TestAVerifierThatFails:
    def searched(self, error, first_failure, **how):
        engine, calls = Steps(**how), []

        async def verifier(prompt, candidates, ctx):
            calls.append([c.text for c in candidates])
            if len(calls) >= first_failure:
                raise error
            return [Score(value=0.5) for _ in candidates]

        return solve(engine, Tree(search=Beam(n=4, width=2), verifier=verifier)), calls

    @pytest.mark.parametrize(
        "error",
        [
            EngineError("down"),
            EngineTimeoutError("late"),
            *(EngineHttpError("no", status=status) for status in (400, 413, 422, 429, 503)),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("first_failure", [2, 3])
    def test_later_leaves_texts_without_a_value(self, error, first_failure):
        outcome, calls = self.searched(error, first_failure)
        assert outcome.selection.winner.finish == "stop"
        assert len(outcome.candidates) == 12
        assert len(calls) == 3
        assert len(outcome.selection.details["values"]) == 4 * (first_failure - 1)
        assert any(f"the verifier failed, and some texts have no value: {error}" in n for n in outcome.notes)

    @pytest.mark.parametrize("error", [EngineTimeoutError("late"), EngineHttpError("no", status=400)])
    def test_at_once_ends_the_search_with_one_answer(self, error):
        outcome, calls = self.searched(error, 1)
        assert (outcome.stopped, outcome.error, len(calls)) == ("error", None, 1)
        assert outcome.selection.winner.finish == "stop"
        assert len(outcome.candidates) == 5  # a round, and the answer that goes on from it
        assert f"tree: the verifier failed, and is not asked again: {error}" in outcome.notes

    @pytest.mark.parametrize(
        "search", ["abmcts(n=4)", "beam(n=4, width=2)", "rebase(n=4)", "dvts(n=4, width=2)"]
    )
    def test_every_search_keeps_its_answers(self, search):
        async def dead(prompt, candidates, ctx):
            raise UnreachableError("nobody is there")

        tree = Tree(search=registry.parse("searches", search), verifier=dead)
        outcome = solve(Steps(), tree)
        assert (outcome.stopped, outcome.text is not None) == ("error", True)

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_for_a_reason_that_a_person_has_to_mend_keeps_what_is_known(self, status):
        outcome, _ = self.searched(EngineHttpError("your key", status=status), 3)
        assert (outcome.stopped, outcome.error, outcome.selection.winner.finish) == ("error", None, "stop")
        assert any("is not asked again: your key" in note for note in outcome.notes)

    @pytest.mark.parametrize(
        ("error", "stopped"),
        [(EngineTimeoutError("late"), "error"), (EngineHttpError("no", status=400), "done")],
    )
    def test_answers_without_a_value_are_an_error_if_the_verifier_is_down(self, error, stopped):
        outcome, _ = self.searched(error, 3)
        assert outcome.stopped == stopped

    def test_of_finished_answers_the_best_by_what_is_known_wins(self):
        """Two answers are finished in the first round; the verifier dies in the second."""

        class Early(Steps):
            def _one(self, request, i):
                if not request.prefix and i < 2:
                    return Completion(text=("คำตอบ: ๗", "คำตอบ: ๙")[i], usage=Usage(completion=5))
                return super()._one(request, i)

        rounds = []

        async def dying(prompt, candidates, ctx):
            rounds.append(len(candidates))
            if len(rounds) == 2:
                raise EngineHttpError("your key", status=401)
            return [Score(value=0.9 if "๙" in c.text else 0.1) for c in candidates]

        outcome = solve(Early(), Tree(search=Beam(n=4, width=2), verifier=dying))
        assert (outcome.text, outcome.stopped, len(rounds)) == ("คำตอบ: ๙", "error", 2)


def test_what_the_client_stops_at_ends_the_answer_across_steps_too():
    prompt = replace(PROMPT, overrides=Overrides(stop=("\nขั้น",)))
    tree = Tree(search=Beam(n=2, width=2), verifier=Counting())
    outcome = asyncio.run(ask(prompt, tree, {"policy": Steps()}))
    assert outcome.text == "ตัวเลข: ๓ (1)"
    assert [c.finish for c in outcome.candidates] == ["step"] * 2 + ["stop"] * 2


@dataclass
class InJson(Steps):
    """One step, and then these ends of it."""

    ends: tuple[str, ...] = ('"答": 42', '"答": 42}')

    def _one(self, request, i):
        if not request.prefix:
            return Completion(text="{", stopped_by="\n")
        return Completion(text=self.ends[i % len(self.ends)])


class TestAClientsSchema:
    prompt = replace(PROMPT, overrides=Overrides(body={"response_format": {"type": "json_object"}}))
    tree = Tree(search=Beam(n=2, width=2), verifier=Counting(unscored=True), selector=First())

    def test_answers_that_it_does_not_fit_are_set_aside(self):
        outcome = asyncio.run(ask(self.prompt, self.tree, {"policy": InJson()}))
        assert outcome.text == '{\n"答": 42}'
        assert [c.error is None for c in outcome.candidates] == [True, True, False, True]
        assert "does not fit response_format" in outcome.candidates[2].error

    def test_a_step_is_no_answer_to_it(self):
        outcome = asyncio.run(ask(self.prompt, self.tree, {"policy": InJson(ends=("[]", "no"))}))
        assert outcome.selection is None
        assert "does not fit response_format" in outcome.error


def test_tool_calls_are_told_apart_by_what_they_call():
    @dataclass
    class Calls(Steps):
        def _one(self, request, i):
            call = ToolCall(id=f"{i}", name="weather", arguments=f'{{"city": "{"京"[:i] or "東"}"}}')
            return Completion(text="", tool_calls=(call,))

    async def verifier(prompt, candidates, ctx):
        return [Score(value=float("京" in c.text)) for c in candidates]

    outcome = solve(Calls(), Tree(search=Beam(n=2, width=2), verifier=verifier))
    assert outcome.selection.details["values"] == {"0": 0.0, "1": 1.0}
    assert outcome.selection.winner == outcome.candidates[1]


def test_what_is_left_finishes_different_steps():
    @dataclass
    class Twice(Steps):
        def _one(self, request, i):
            return super()._one(request, i // 2)

    engine = Twice(fail=lambda r: bool(r.prefix) and bool(r.params.stop))
    tree = Tree(search=Beam(n=4, width=1), verifier=Counting())
    outcome = solve(engine, tree, budget=Budget(samples=12))
    best, second = "ตัวเลข: ๓ (1)\n", "ตัวเลข: ๓ (0)\n"
    assert [(r.prefix, r.n, r.params.temperature) for r in engine.requests[-4:]] == [
        (best, 1, 0.0),
        (second, 1, 0.0),
        (best, 1, 0.8),
        (second, 1, 0.8),
    ]
    assert len(outcome.candidates) == 4 + 4 + 4


@pytest.mark.parametrize("error", [EngineTimeoutError("late"), EngineHttpError("404", status=404)])
def test_steps_that_cannot_be_compared_now_count_as_unlike(error):
    async def similarity(hypotheses, references, ctx):
        raise error

    def searched(search):
        return solve(Steps(), Tree(search=search, verifier=Counting()))

    outcome = searched(Dora(n=4, similarity=similarity))
    if error.is_transient:
        assert outcome.text == searched(Rebase(n=4)).text
        assert any("count as unlike: late" in note for note in outcome.notes)
    else:
        assert outcome.error == "404"


def test_steps_that_never_end_are_finished_in_the_end():
    outcome = solve(Steps(lines=("…",) * 50), Tree(search=Beam(n=2, width=1, rounds=3), verifier=Counting()))
    assert outcome.selection.winner.finish == "stop"
    assert len(outcome.candidates) == 6 + 1
    assert outcome.stopped == "done"


def test_the_clients_max_tokens_is_that_of_steps_and_rest_together():
    engine = Steps(lines=("…",) * 50)
    prompt = replace(PROMPT, overrides=Overrides(max_tokens=12))
    tree = Tree(search=Beam(n=2, width=1, rounds=2), verifier=Counting())
    asyncio.run(ask(prompt, tree, {"policy": engine}))
    assert [(r.n, r.params.max_tokens) for r in engine.requests] == [(2, 12), (1, 7), (1, 7), (1, 2)]


def test_an_answer_too_long_is_cut_off_and_does_not_win():
    tree = Tree(search=Beam(n=2, width=1), verifier=Counting(), max_tokens=10)
    outcome = solve(Steps(lines=("…",) * 50), tree)
    assert {c.finish for c in outcome.candidates} == {"step", "length", "stop"}
    assert outcome.selection.winner.finish == "stop"


def test_an_answer_that_was_cut_off_takes_no_place_among_the_finished():
    @dataclass
    class Long(Steps):
        def _one(self, request, i):
            is_long = not request.prefix and i == 0
            return replace(super()._one(request, i), usage=Usage(completion=20 if is_long else 5))

    engine = Long()
    outcome = solve(engine, Tree(search=Beam(n=2, width=1), verifier=Counting(), max_tokens=20))
    assert [c.finish for c in outcome.candidates] == ["length"] + ["step"] * 3 + ["stop"] * 2
    assert [(r.prefix, r.n) for r in engine.requests[:2]] == [("", 2), ("ตัวเลข: ๓ (1)\n", 2)]


def test_of_unfinished_answers_that_are_worth_the_same_the_longest_is_chosen():
    tree = Tree(search=Beam(n=4, width=2), verifier=Counting(unscored=True))
    engine = Steps(fail=lambda r: not r.params.stop)
    assert solve(engine, tree, budget=Budget(samples=12)).text.count("\n") == 2


def test_a_failing_call_costs_its_branch_only():
    engine = Steps(fail=lambda r: "(3)" in r.prefix)
    outcome = solve(engine, Tree(search=Beam(n=4, width=2), verifier=Counting()))
    assert sum(c.error is not None for c in outcome.candidates) == 2
    assert outcome.text.startswith("ตัวเลข: ๓ (2)")
    assert sum(c.finish == "stop" for c in outcome.candidates) == 4


def test_where_all_branches_fail_the_best_steps_are_tried_once_more():
    engine = Steps(fail=lambda r: bool(r.prefix) and bool(r.params.stop))
    outcome = solve(engine, Tree(search=Beam(n=4, width=2), verifier=Counting()))
    assert outcome.text == "ตัวเลข: ๓ (3)\nขั้น ๒\nคำตอบ: ๔๒"


@pytest.mark.parametrize(
    "search", [*all_of("searches"), "beam(n=4, width=2, lookahead=2)", "particles(n=3, sweeps=2)"]
)
class TestEverySearchInATree:
    def tree(self, search):
        return registry.parse("strategies", f"tree(search={search}, verifier=logprob)")

    def test_the_same_seed_gives_the_same_outcome(self, search):
        first, second = (solve(Fake(), self.tree(search), seed=3) for _ in range(2))
        assert replace(first, seconds=0.0) == replace(second, seconds=0.0)
        assert first.selection.winner.finish == "stop"
        assert first.text.endswith(first.candidates[first.selection.winner.id].text)

    def test_parents_are_prefixes(self, search):
        outcome = solve(Fake(), self.tree(search), seed=3)
        for c in outcome.candidates:
            for p in c.parents:
                assert outcome.candidates[p].finish == "step"
                assert c.text.startswith(outcome.candidates[p].text)

    @pytest.mark.parametrize("samples", [0, 1, 3, 5, 17, 40])
    def test_it_stays_within_its_budget_and_answers(self, search, samples):
        outcome = solve(Fake(), self.tree(search), budget=Budget(samples=samples))
        assert sum(c.finish == "stop" for c in outcome.candidates) <= samples
        assert (outcome.selection is None) == (samples == 0)

    def test_it_stays_within_its_tokens(self, search):
        for tokens in (0, 10, 300, 3000, 20_000):
            outcome = solve(Fake(), self.tree(search), budget=Budget(tokens=tokens))
            assert total(outcome.usage).completion <= tokens

    def test_failures_and_hanging_calls_cost_themselves_only(self, search):
        outcome = solve(Fake(error_rate=0.2, garbage_rate=0.2, max_n=1), self.tree(search), seed=1)
        assert outcome.selection is not None
        outcome = solve(Fake(hang_rate=0.2, max_n=1), self.tree(search), budget=Budget(seconds=0.15))
        assert outcome.seconds < 2
        assert outcome.selection is not None or not any(c.is_usable for c in outcome.candidates)

    def test_it_can_be_drawn(self, search):
        dot = to_dot(solve(Fake(), self.tree(search)))
        assert dot.startswith("digraph")
        assert "prompt -> c0;" in dot
        assert "->" in dot.replace("prompt ->", "")


def test_a_drawing_quotes_what_dot_would_read():
    outcome = solve(Fake(), Tree(search=Beam(n=1, width=1), verifier=Logprob()))
    odd = replace(outcome.candidates[0], text='"a"\\b\n\ud83d\0', parents=(), finish="length")
    dot = to_dot(replace(outcome, candidates=(odd,), selection=None))
    assert '[label="\\"a\\"\\\\b ��", shape=ellipse, style="dashed"]' in dot


@pytest.mark.parametrize(
    "spec", ["tree(verifier=logprob, max_tokens=0)", "tree(verifier=logprob, temperature=-1)"]
)
def test_nonsense_parameters_are_said(spec):
    with pytest.raises(SpecError, match="must"):
        registry.parse("strategies", spec)


def test_the_search_may_stand_without_its_name():
    tree = registry.parse("strategies", "tree(beam(n=16, width=4), verifier=logprob)")
    assert tree == Tree(search=Beam(n=16, width=4), verifier=Logprob())


def test_what_a_search_notes_is_said():
    strategy = registry.parse("strategies", "particles(n=2, potential=odds, verifier=logprob)")
    notes = " ".join(solve(Fake(), strategy).notes)
    assert "use potential=exp" in notes


@dataclass
class Relative:
    """A verifier whose values are relative to the candidates of a call: the share of the call's highest mark."""

    marks: dict
    calls: list = field(default_factory=list)
    depends_on_pool = True
    fail_from: int = 99

    async def __call__(self, prompt, candidates, ctx):
        self.calls.append([c.text for c in candidates])
        if len(self.calls) > self.fail_from:
            raise EngineError("down")
        highest = max(self.marks[c.text] for c in candidates)
        return [Score(value=self.marks[c.text] / highest) for c in candidates]


@dataclass
class OneByOne:
    """A search that finishes one answer a round: 9 is found in the first, 1 in the second."""

    name: str = "one-by-one"

    async def capabilities(self):
        return Capabilities(names_stop=True)

    async def generate(self, request):
        texts = {"": ["a\n", "9"], "a\n": ["1"]}
        drawn = []
        for i in range(request.n):
            text = texts[request.prefix][i % len(texts[request.prefix])]
            stopped_by = "\n" if text.endswith("\n") else None
            drawn.append(
                Completion(text=text.rstrip("\n"), stopped_by=stopped_by, usage=Usage(completion=1, calls=1))
            )
        return drawn


MARKS = {"a\n": 9, "9": 9, "a\n1": 1}


def test_values_of_different_rounds_are_made_comparable_before_the_choice():
    """In its round each is the best there is, and has the value 1; together 9 is nine times as good."""
    verifier = Relative(MARKS)
    tree = Tree(search=Beam(n=2, width=1), verifier=verifier, selector=None)
    outcome = asyncio.run(ask(PROMPT, tree, {"policy": OneByOne()}))
    assert set(verifier.calls[-1]) == set(MARKS)
    values = outcome.selection.details["values"]
    by_text = {c.text: values[str(c.id)] for c in outcome.candidates}
    assert by_text == {"a\n": 1.0, "9": 1.0, "a\n1": pytest.approx(1 / 9)}
    assert outcome.text == "9"


def test_a_verifier_that_fails_then_leaves_the_values_as_they_are():
    verifier = Relative(MARKS, fail_from=2)
    outcome = asyncio.run(
        ask(PROMPT, Tree(search=Beam(n=2, width=1), verifier=verifier), {"policy": OneByOne()})
    )
    assert outcome.text is not None
    assert any("compared as they are: down" in note for note in outcome.notes)


def test_values_that_stand_by_themselves_are_not_asked_for_twice():
    verifier = Relative(MARKS)
    verifier.depends_on_pool = False
    asyncio.run(ask(PROMPT, Tree(search=Beam(n=2, width=1), verifier=verifier), {"policy": OneByOne()}))
    texts = [text for call in verifier.calls for text in call]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize("language", ["ar", "zh", "hi", "ja", "ko", "ru", "th"])
def test_rollouts_of_a_search_cost_nothing_to_compare(language):
    prompt = replace(PROMPT, language=language)
    plain = registry.parse("strategies", "beam(n=4, width=2, verifier=rollouts(k=2))")
    outcome = asyncio.run(ask(prompt, plain, {"policy": Fake()}))
    assert outcome.stopped == "done"
    calls = outcome.usage["verifier"].calls
    distinct = {c.text for c in outcome.candidates if c.finish == "step"}
    assert calls <= 2 * len(distinct)


@pytest.mark.parametrize("spec", ["beam", "dvts", "rebase", "dora", "particles"])
def test_one_more_sample_is_never_worse(spec):
    """A search for 16 answers finishes 16 from 16 samples on, whatever is left."""
    tree = registry.parse("strategies", f"{spec}(n=16, verifier=logprob)")
    finished = [
        sum(c.finish == "stop" for c in solve(Fake(), tree, budget=Budget(samples=n)).candidates)
        for n in (8, 15, 16, 17, 18, 24, 33)
    ]
    assert finished == [8, 15, 16, 16, 16, 16, 16]
