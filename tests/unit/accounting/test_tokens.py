import pytest

from nbest.accounting.tokens import estimated_tokens


@pytest.mark.parametrize(
    ("text", "num_tokens"),
    [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("四", 1), ("مرحبا", 3), ("สวัสดี", 5), ("\ud83d", 1)],
)
def test_tokens_are_estimated_by_bytes_in_any_script(text, num_tokens):
    assert estimated_tokens(text) == num_tokens
