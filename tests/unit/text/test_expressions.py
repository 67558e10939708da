"""Mathematics by `math-verify`, where it is installed; spelling alone where it is not."""

import subprocess
import sys

import pytest

from nbest.text import equivalent, expressions, extract

POPEN = subprocess.Popen
needs_math = pytest.mark.skipif(
    not expressions.is_installed(), reason="the extra `math` (math-verify) is not installed"
)


def test_alike_spellings_need_no_extra():
    assert equivalent(extract(r"\boxed{x^2 + 1}"), "x^2+1")
    assert equivalent(extract(r"\boxed{\dfrac{x}{2}}"), r"\frac{x}{2}")


def test_without_the_extra_other_spellings_are_not_equal(monkeypatch):
    monkeypatch.setattr(expressions, "is_installed", lambda: False)
    assert not equivalent(r"\sqrt{12}", r"2\sqrt{3}")


@needs_math
@pytest.mark.parametrize(
    ("a", "b", "same"), [(r"\sqrt{12}", r"2\sqrt{3}", True), ("x^2+1", "1+x^2", True), ("x+1", "x+2", False)]
)
def test_with_it_they_are_compared_as_mathematics(a, b, same):
    assert equivalent(a, b) is same


class TestVerifier:
    """The process behind it, played by a script."""

    @pytest.fixture
    def verifier(self, monkeypatch):
        made = expressions._Verifier()
        yield made
        made._end()

    def play(self, monkeypatch, script: str):
        monkeypatch.setattr(
            expressions.subprocess, "Popen", lambda _, **kw: POPEN([sys.executable, "-c", script], **kw)
        )

    def test_what_it_says_counts(self, monkeypatch, verifier):
        self.play(monkeypatch, "while True: input(); print('true', flush=True)")
        assert verifier.ask("1", "1") is True

    def test_one_that_hangs_is_ended_and_started_anew(self, monkeypatch, verifier):
        monkeypatch.setattr(expressions, "TIMEOUT_S", 0.05)
        self.play(monkeypatch, "import time; input(); print('true', flush=True); time.sleep(60)")
        assert verifier.ask("1", "1") is False
        assert verifier._process is None
        self.play(monkeypatch, "while True: input(); print('true', flush=True)")
        monkeypatch.setattr(expressions, "TIMEOUT_S", 5.0)
        assert verifier.ask("1", "1") is True

    def test_one_that_dies_is_not_equal(self, monkeypatch, verifier):
        self.play(monkeypatch, "raise SystemExit")
        assert verifier.ask("1", "1") is False
