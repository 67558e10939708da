"""What a client is told where the models' servers gave no answer."""

import pytest

from nbest.errors import EngineError, EngineHttpError, UnavailableError
from nbest.serve.api_errors import of_outcome, retry_after
from nbest.types import Outcome
from scripted import prompt_of

FAILED = Outcome(
    prompt=prompt_of("؟"),
    strategy="parallel",
    seed=0,
    selection=None,
    candidates=(),
    usage={},
    stopped="error",
    error="every draw failed",
)


def given_up(*seconds):
    return [UnavailableError(f"server {i} is given up on", retry_after_s=s) for i, s in enumerate(seconds)]


@pytest.mark.parametrize("seconds", [(5.0, 60.0), (60.0, 5.0), (600.0, 5.0, 60.0)])
def test_of_several_servers_that_are_given_up_on_the_first_to_be_tried_again_says_when(seconds):
    error = of_outcome(FAILED, given_up(*seconds))
    assert (error.status, error.retry_after_s) == (503, 5.0)


def test_the_errors_of_servers_that_were_called_in_turn_count_one_by_one():
    both = EngineError("no server answers")
    both.causes = tuple(given_up(40.0, 7.0))
    assert of_outcome(FAILED, [both]).retry_after_s == 7.0


def test_a_busy_server_says_itself_when():
    busy = EngineHttpError("slow down", status=429, retry_after_s=12.0)
    error = of_outcome(FAILED, [busy, *given_up(3.0)])
    assert (error.status, error.retry_after_s) == (429, 12.0)


@pytest.mark.parametrize(("seconds", "header"), [(0.0, 1), (0.2, 1), (7.1, 8), (1e6, 600)])
def test_the_header_has_whole_seconds(seconds, header):
    assert retry_after(seconds) == header
