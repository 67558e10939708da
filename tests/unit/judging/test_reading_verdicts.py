"""Judges whose verdicts are read by a grammar or by log-probabilities, and what happens where neither is there."""

import asyncio
import json
from math import log

import pytest

from judges import is_repair, pool_of, shown
from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.errors import EngineError, EngineHttpError, SpecError
from nbest.judging.verdict_forms import GRADES, numbers
from nbest.protocols import Capabilities
from nbest.scoring.judge import Judge
from nbest.scoring.step_judge import StepJudge
from nbest.selection.chops import Chops
from nbest.selection.first import First
from nbest.selection.pairwise import JudgePairwise
from nbest.selection.tournament import Tournament
from nbest.types import Completion, Logprobs, replace
from nbest.utilities.judged import Judged
from scripted import PROMPT, Scripted

POOL = pool_of("eins", "二", "ثلاثة")
BEST = "二"


def run(method, say, *, capabilities=None, prompt=PROMPT, pool=POOL):
    judge = Scripted(say)
    if capabilities is not None:
        judge.capabilities = lambda: asyncio.sleep(0, capabilities)
    ctx = Context({"policy": Fake(), "judge": judge, "verifier": judge})
    return asyncio.run(method(prompt, pool, ctx)), judge, ctx


def verdict_of(name, texts):
    """What a judge that likes `BEST` says."""
    match name:
        case "chops":
            return next(label for label, text in texts.items() if text == BEST)
        case "pairwise":
            return "A>B" if texts["A"] == BEST else "B>A" if texts["B"] == BEST else "A=B"
        case "score":
            return "9" if texts["1"] == BEST else "2"


def name_of(request):
    return request.prompt.id.rpartition("/")[2]


def as_tokens(*places):
    return Completion(
        text="".join(drawn for drawn, _ in places),
        logprobs=Logprobs(
            tokens=tuple(drawn for drawn, _ in places),
            values=tuple(log(shares[drawn]) for drawn, shares in places),
            top=tuple({t: log(p) for t, p in shares.items()} for _, shares in places),
        ),
    )


def spelled(verdict, p=0.6):
    """A verdict, drawn character by character, whose first one has probability p."""
    first, *rest = verdict
    other = {"A": "B", "B": "A"}.get(first, "5")
    return as_tokens((first, {first: p, other: 1 - p}), *((c, {c: 1.0}) for c in rest))


METHODS = [
    Chops(fallback=First(), read="grammar"),
    JudgePairwise(fallback=First(), read="grammar"),
    Tournament(fallback=First(), read="grammar"),
]


def with_read(method, read):
    from dataclasses import replace as replace_fields

    return replace_fields(method, read=read)


class TestGrammar:
    def say(self, request):
        verdict = verdict_of(name_of(request), shown(request))
        return json.dumps({"assessment": "第一步… [[3]] looks good, no: [[1]]", "verdict": verdict})

    @pytest.mark.parametrize("method", METHODS)
    def test_the_verdict_is_read_from_structured_output(self, method):
        selection, judge, ctx = run(method, self.say)
        assert selection.winner.text == BEST
        assert ctx.notes == []
        for request in judge.requests:
            asked = request.prompt.overrides.body["response_format"]
            assert asked["type"] == "json_schema"
            schema = asked["json_schema"]["schema"]
            assert list(schema["properties"]) == ["assessment", "verdict"], "reasoning comes first"
            assert verdict_of(name_of(request), shown(request)) in schema["properties"]["verdict"]["enum"]

    @pytest.mark.parametrize("language", ["ar", "zh", "hi", "ja", "ko", "ru", "th"])
    def test_scores_are_read_in_every_language(self, language):
        prompt = replace(PROMPT, language=language)
        scores, _, ctx = run(Judge(read="grammar", template_language="prompt"), self.say, prompt=prompt)
        assert [s.value for s in scores] == [2.0, 9.0, 2.0]
        assert ctx.notes == []

    @pytest.mark.parametrize(
        "error",
        [
            EngineHttpError("judge.example answered 400: response_format is not supported", status=400),
            EngineHttpError("judge.example answered 422: extra fields not permitted", status=422),
            EngineError("failed to compile grammar"),
        ],
    )
    def test_a_judge_that_refuses_it_is_read_as_text_with_a_note(self, error):
        def say(request):
            if request.prompt.overrides is not None:
                return error
            return f"I think …\n[[{verdict_of(name_of(request), shown(request))}]]"

        scores, judge, ctx = run(Judge(read="grammar"), say)
        assert [s.value for s in scores] == [2.0, 9.0, 2.0]
        assert len(judge.requests) == 6
        assert len(ctx.notes) == 1
        assert "structured output" in ctx.notes[0]

    def test_a_judge_that_fails_for_another_reason_is_not_asked_again(self):
        scores, judge, _ = run(Judge(read="grammar"), lambda _: EngineError("connection reset"))
        assert [s.value for s in scores] == [None, None, None]
        assert len(judge.requests) == 3

    def test_a_judge_that_ignores_it_is_read_as_text(self):
        scores, _, ctx = run(Judge(read="grammar"), lambda r: f"So:\n[[{verdict_of('score', shown(r))}]]")
        assert [s.value for s in scores] == [2.0, 9.0, 2.0]
        assert ctx.notes == []

    def test_a_reply_that_was_cut_off_is_repaired_under_a_grammar_of_the_verdict_alone(self):
        def say(request):
            if is_repair(request):
                schema = request.prompt.overrides.body["response_format"]["json_schema"]["schema"]
                assert list(schema["properties"]) == ["verdict"]
                return '{"verdict": "4"}'
            return Completion(text='{"assessment": "哦哦哦哦哦哦', finish="length")

        scores, _, _ = run(Judge(read="grammar"), say)
        assert [s.value for s in scores] == [4.0, 4.0, 4.0]


class TestLogprobs:
    def say(self, request):
        return spelled(verdict_of(name_of(request), shown(request)))

    @pytest.mark.parametrize("method", METHODS)
    def test_a_judge_too_weak_to_explain_itself_has_verdicts(self, method):
        selection, judge, ctx = run(with_read(method, "logprobs"), self.say)
        assert selection.winner.text == BEST
        assert ctx.notes == []
        for request in judge.requests:
            assert request.params.max_tokens == 8
            assert request.params.logprobs == 20
            assert request.prefix == "[["

    def test_a_score_is_the_expected_one(self):
        scores, _, _ = run(Judge(read="logprobs"), self.say)
        assert [s.value for s in scores] == [
            pytest.approx(0.6 * 2 + 0.4 * 5),
            pytest.approx(0.6 * 9 + 0.4 * 5),
            pytest.approx(0.6 * 2 + 0.4 * 5),
        ]

    def test_preferences_count_by_their_probability(self):
        """The same verdicts by a surer judge: the winner is further ahead."""
        unsure, _, _ = run(
            JudgePairwise(read="logprobs"), lambda r: spelled(verdict_of("pairwise", shown(r)), 0.55)
        )
        sure, _, _ = run(
            JudgePairwise(read="logprobs"), lambda r: spelled(verdict_of("pairwise", shown(r)), 0.95)
        )
        assert sure.scores[1] - sure.scores[0] > unsure.scores[1] - unsure.scores[0] > 0

    def test_chops_records_the_probabilities(self):
        selection, _, _ = run(
            Chops(read="logprobs"), lambda r: as_tokens(("1", {"1": 0.5, "2": 0.3, "3": 0.2}))
        )
        assert sorted(selection.scores.values()) == pytest.approx([0.2, 0.3, 0.5])
        assert selection.scores[selection.winner.id] == pytest.approx(0.5)
        assert sum(selection.details["rounds"][0]["probabilities"].values()) == pytest.approx(1)

    def test_a_step_is_worth_the_probability_that_nothing_before_it_is_wrong(self):
        pool = pool_of("一\n二\n三")
        say = lambda _: as_tokens(("0", {"0": 0.5, "1": 0.1, "2": 0.3, "3": 0.1}))  # noqa: E731
        [score], _, _ = run(StepJudge(read="logprobs"), say, pool=pool)
        assert score.steps == pytest.approx((0.9, 0.6, 0.5))
        assert score.value == pytest.approx(0.5)

    def test_a_utility_is_the_expected_grade(self):
        judge = Scripted(lambda _: as_tokens(("3", {"3": 0.5, "7": 0.5})))
        matrix = asyncio.run(Judged(read="logprobs")(["a", "b"], ["a", "b"], Context({"policy": judge})))
        assert matrix.tolist() == [[10.0, 5.0], [5.0, 10.0]]

    def test_an_engine_that_continues_no_text_is_asked_without_a_beginning(self):
        say = lambda _: as_tokens(("[[", {"[[": 1.0}), ("4", {"4": 1.0}))  # noqa: E731
        scores, judge, _ = run(
            Judge(read="logprobs"), say, capabilities=Capabilities(prefix=False, max_logprobs=5)
        )
        assert [s.value for s in scores] == [4.0] * 3
        assert {(r.prefix, r.params.logprobs) for r in judge.requests} == {("", 5)}

    @pytest.mark.parametrize("capabilities", [Capabilities(logprobs=False), Capabilities()])
    def test_a_judge_without_logprobs_is_read_as_text_with_a_note(self, capabilities):
        say = lambda r: f"So:\n[[{verdict_of('score', shown(r))}]]"  # noqa: E731
        scores, _, ctx = run(Judge(read="logprobs"), say, capabilities=capabilities)
        assert [s.value for s in scores] == [2.0, 9.0, 2.0]
        assert ctx.notes == ["the judge returns no log-probabilities: its verdicts are read from text"]

    def test_a_verdict_that_is_not_among_the_alternatives_is_missing(self):
        scores, _, ctx = run(Judge(read="logprobs"), lambda _: as_tokens(("so", {"so": 1.0})))
        assert [s.value for s in scores] == [None, None, None]
        assert "likeliest next tokens" in ctx.notes[0]

    def test_a_judge_that_is_down_falls_back(self):
        selection, _, ctx = run(Chops(read="logprobs", fallback=First()), lambda _: EngineError("down"))
        assert selection.winner.id == 0
        assert ctx.stopped == "error"


class TestTemperature:
    @pytest.mark.parametrize(
        "spec",
        ["chops", "judge_pairwise", "tournament", "best(judge)", "mbr(judged)"],
    )
    def test_judges_take_a_temperature_and_then_a_seed(self, spec):
        name, _, inner = spec.partition("(")
        full = f"{name}({inner[:-1]}(temperature=0.4))" if inner else f"{name}(temperature=0.4)"
        replies = {}
        for _ in range(2):
            _, judge, _ = run(registry.parse("selectors", full), lambda _: "[[1]]")
            assert {r.params.temperature for r in judge.requests} == {0.4}
            seeds = tuple(sorted((str(shown(r)), r.params.seed) for r in judge.requests))
            assert None not in [seed for _, seed in seeds]
            replies.setdefault("seeds", seeds)
            assert replies["seeds"] == seeds, "the same run asks with the same seeds"

    @pytest.mark.parametrize("spec", ["chops", "judge_pairwise", "tournament", "fuse"])
    def test_a_negative_temperature_is_refused_when_it_is_given(self, spec):
        with pytest.raises(SpecError, match="temperature"):
            registry.parse("selectors", f"{spec}(temperature=-1)")

    def test_reading_goes_with_grades_alone(self):
        with pytest.raises(SpecError, match="mode=score"):
            registry.parse("scorers", "judge(mode=yes_no, read=grammar)")


def test_forms_read_both_texts_and_objects():
    assert numbers(3).read("so\n[[2]]") == 2
    assert numbers(3).read('{"assessment": "[[1]]", "verdict": "3"}') == 3
    assert numbers(3, least=0).read('{"verdict": 0}') == 0
    assert GRADES.read('{"verdict": "B>>A"}') == "B>>A"
    assert GRADES.read("[[A=B]]") == "A=B"
    assert list(numbers(10).verdict_by_option.values()) == list(range(1, 11))


def test_where_no_option_is_likely_the_verdict_is_written_under_a_grammar():
    def say(request):
        if "response_format" in ((request.prompt.overrides and request.prompt.overrides.body) or {}):
            return json.dumps({"verdict": verdict_of(name_of(request), shown(request))})
        return as_tokens(("…", {"…": 0.9, "嗯": 0.1}))

    scores, judge, ctx = run(Judge(read="logprobs"), say)
    assert [s.value for s in scores] == [2.0, 9.0, 2.0]
    assert len(judge.requests) == 2 * len(POOL)
    assert judge.requests[-1].params.max_tokens == 64
    assert ctx.notes == []


def test_a_judge_whose_context_has_no_room_for_its_own_reply_still_gives_a_verdict_under_a_grammar():
    def say(request):
        quoted = [m.content for m in request.prompt.messages if m.role == "assistant"]
        if not quoted:
            return Completion(text='{"assessment": "' + "на " * 400, finish="length")
        if len(quoted[0]) > 100:
            return EngineError("the prompt has 1093 tokens, but a sequence holds 1024")
        return json.dumps({"verdict": verdict_of(name_of(request), shown(request))})

    scores, _, ctx = run(Judge(read="grammar"), say)
    assert [s.value for s in scores] == [2.0, 9.0, 2.0]
    assert ctx.notes == []
