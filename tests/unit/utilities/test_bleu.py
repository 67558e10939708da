import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.utilities.bleu import Bleu, bleu_matrix

tokens = st.lists(st.sampled_from(["the", "cat", "кот", "，", "去", "é", "😀", "12"]), max_size=9)


def sacrebleu_matrix(hypotheses, references, max_order):
    bleu = BLEU(tokenize="none", effective_order=True, max_ngram_order=max_order)
    scores = [[bleu.sentence_score(" ".join(h), [" ".join(r)]).score for r in references] for h in hypotheses]
    return np.array(scores, float).reshape(len(hypotheses), len(references))


@settings(max_examples=200, deadline=None)
@given(st.lists(tokens, max_size=5), st.lists(tokens, max_size=5), st.integers(1, 4))
def test_equals_sacrebleu(hypotheses, references, max_order):
    expected = sacrebleu_matrix(hypotheses, references, max_order)
    assert np.allclose(bleu_matrix(hypotheses, references, max_order=max_order), expected, rtol=0, atol=1e-9)


async def test_text_without_spaces_is_compared_by_character():
    ctx = Context({"policy": Fake()})
    scores = await Bleu()(["我们昨天去了北京。", "उसने कहा"], ["我们昨天到了北京。", "उसने नहीं कहा"], ctx)
    expected = sacrebleu_matrix([[*"我们昨天去了北京。"]], [[*"我们昨天到了北京。"]], 4)
    assert np.allclose(scores[0, 0], expected)
    assert scores[0, 1] == scores[1, 0] == 0 < scores[1, 1]


def test_an_order_of_zero_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Bleu(max_order=0)
    assert registry.parse("utilities", "bleu(2)") == Bleu(max_order=2)
