from nbest.errors import EngineProtocolError
from nbest.serve.observer import GatewayObserver
from nbest.types import Request, SamplingParams, Usage
from scripted import prompt_of

ASKED = Request(prompt=prompt_of("Привет"), params=SamplingParams())


def test_tokens_are_those_of_its_meter_by_role_and_engine():
    observer = GatewayObserver(None, wants_deltas=True)
    observer.meter.add("policy", Usage(prompt=5, completion=1, calls=1), engine="policy")
    observer.meter.add("judge", Usage(prompt=50, completion=2, calls=1), engine="big")
    observer.meter.add(
        "judge", Usage(prompt=50, completion=4, calls=1, estimated_completion=4), engine="small"
    )
    assert observer.num_tokens == 5 + 1 + 100 + 6
    assert observer.usage["judge"] == Usage(prompt=100, completion=6, calls=2, estimated_completion=4)
    assert [(s.role, s.engine) for s in observer.meter.spent] == [
        ("judge", "big"),
        ("judge", "small"),
        ("policy", "policy"),
    ]


def test_errors_are_kept_in_order():
    observer = GatewayObserver(None)
    first, second = EngineProtocolError("broken off"), EngineProtocolError("again")
    observer.on_error(ASKED, first)
    observer.on_error(ASKED, second)
    assert observer.errors == [first, second]
