import pytest
from prometheus_client.parser import text_string_to_metric_families

from nbest.serve.observability.metrics import CONTENT_TYPE, Metrics
from nbest.types import Candidate, Outcome, Prompt, Usage

CHAT = "/v1/chat/completions"


def outcome(*, strategy="parallel(selector=vote)", stopped="done"):
    candidates = (
        Candidate(id=0, text="はい"),
        Candidate(id=1, text="", finish="error", error="it broke"),
        Candidate(id=2, text="いいえ"),
    )
    usage = {"policy": Usage(prompt=10, cached=4, completion=7), "judge": Usage(prompt=3, completion=1)}
    return Outcome(
        prompt=Prompt(id="1", messages=()),
        strategy=strategy,
        seed=0,
        selection=None,
        candidates=candidates,
        usage=usage,
        stopped=stopped,
    )


def samples(metrics):
    text = metrics.exposition().decode()
    return {
        (s.name, *(v for _, v in sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_an_answer_is_counted_by_role_state_and_kind():
    metrics = Metrics(endpoints=[CHAT])
    metrics.replied(endpoint=CHAT, status=200, key="ana")
    for _ in range(2):
        metrics.answered(
            outcome(), strategy="parallel", seconds=1.5, language="ja", first_s=0.2, choice_s=0.004
        )
    found = samples(metrics)
    assert found["nbest_requests_total", CHAT, "ana", "200"] == 1
    assert found["nbest_candidates_total", "ok"] == 4
    assert found["nbest_candidates_total", "failed"] == 2
    assert found["nbest_tokens_total", "input", "policy"] == 20
    assert found["nbest_tokens_total", "cached", "policy"] == 8
    assert found["nbest_tokens_total", "output", "judge"] == 2
    assert found["nbest_stopped_total", "done"] == 2
    assert found["nbest_decisions_total", "ja", "parallel"] == 2
    assert found["nbest_request_seconds_sum", "parallel"] == 3
    assert found["nbest_request_seconds_bucket", "1.0", "parallel"] == 0
    assert found["nbest_request_seconds_bucket", "2.5", "parallel"] == 2
    assert found["nbest_first_candidate_seconds_count", "parallel"] == 2
    assert found["nbest_choice_seconds_bucket", "0.01", "parallel"] == 2


def test_an_answer_without_a_draw_has_no_times_of_draws():
    metrics = Metrics()
    metrics.answered(outcome(stopped="deadline"), strategy="parallel", seconds=1)
    found = samples(metrics)
    assert found["nbest_stopped_total", "deadline"] == 1
    assert not any(name[0].startswith("nbest_first") for name in found)


@pytest.mark.parametrize(
    ("strategy", "shown"),
    [
        ("parallel(sampler=iid(n=8))", "parallel"),
        ("rsa", "rsa"),
        ("速い", "速い"),
        ("速い(x)", "速い"),
        ("made_up(n=1)", "other"),
        ("", "other"),
        ('x"\n', "other"),
    ],
)
def test_a_clients_own_words_make_no_series(strategy, shown):
    metrics = Metrics(presets=["速い"])
    metrics.answered(outcome(), strategy=strategy, seconds=1)
    assert ("nbest_decisions_total", "unknown", shown) in samples(metrics)


@pytest.mark.parametrize(
    ("language", "shown"),
    [("zh-Hant_TW", "zh"), ("AR", "ar"), ("tlh", "other"), ("x" * 9999, "other"), (None, "unknown"), ("", "unknown")],
)  # fmt: skip
def test_languages_are_the_known_ones(language, shown):
    metrics = Metrics()
    metrics.answered(outcome(), strategy="parallel", seconds=1, language=language)
    assert ("nbest_decisions_total", shown, "parallel") in samples(metrics)


def test_unknown_paths_make_no_series():
    metrics = Metrics(endpoints=[CHAT])
    for i in range(50):
        metrics.replied(endpoint=f"/{i}", status=404, key="anyone")
    assert samples(metrics)["nbest_requests_total", "other", "anyone", "404"] == 50


def test_presets_of_a_reloaded_configuration():
    metrics = Metrics()
    metrics.add_presets(["good"])
    metrics.answered(outcome(), strategy="good", seconds=1)
    assert ("nbest_decisions_total", "unknown", "good") in samples(metrics)


def test_numbers_kept_elsewhere_are_read_when_asked_for():
    metrics = Metrics()
    state = {"gpu-1:8000": 1.0}
    metrics.add_reading("nbest_breaker_state", "0 closed, 1 open.", lambda: state, label="upstream")
    metrics.add_reading("nbest_queue_depth", "Waiting requests.", lambda: len(state))
    metrics.add_reading("nbest_log_dropped_total", "Lines.", lambda: 5, kind="counter")
    state["gpu-2:8000"] = 0.0
    found = samples(metrics)
    assert found["nbest_breaker_state", "gpu-1:8000"] == 1
    assert found["nbest_breaker_state", "gpu-2:8000"] == 0
    assert found["nbest_queue_depth",] == 2
    assert found["nbest_log_dropped_total",] == 5


def test_the_process_is_there_and_gateways_are_counted_apart():
    first, second = Metrics(), Metrics()
    first.replied(endpoint="/", status=200, key="a")
    assert samples(first)["process_resident_memory_bytes",] > 1e6
    assert not any(name[0] == "nbest_requests_total" for name in samples(second))
    assert "version=0.0.4" in CONTENT_TYPE
