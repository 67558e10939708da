import logging

from nbest.serve.observability.minutely_log import MinutelyLog

log = logging.getLogger("nbest.test")


def test_one_line_a_minute_says_how_many_were_left_out(caplog):
    now = [0.0]
    minutely = MinutelyLog(log, clock=lambda: now[0])
    for second in range(150):
        now[0] = float(second)
        minutely.warning("ディスク %d", second)
    assert [r.message for r in caplog.records] == [
        "ディスク 0",
        "ディスク 60 (59 more times since the last such line)",
        "ディスク 120 (59 more times since the last such line)",
    ]
