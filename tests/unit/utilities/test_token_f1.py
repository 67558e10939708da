from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.utilities.token_f1 import TokenF1, token_f1_matrix
from nbest.utilities.words import bare_words

texts = st.one_of(
    st.text(max_size=10),
    st.lists(st.sampled_from(["The", "the", "cat,", "кот", "去年", "12", "…"]), max_size=8).map(" ".join),
)


def naive(hypothesis, reference):
    h, r = Counter(bare_words(hypothesis)), Counter(bare_words(reference))
    return 2 * (h & r).total() / (h.total() + r.total()) if h or r else 1.0


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=6), st.lists(texts, max_size=6))
def test_equals_its_definition(hypotheses, references):
    expected = [[naive(h, r) for r in references] for h in hypotheses]
    scores = token_f1_matrix(hypotheses, references)
    assert scores.shape == (len(hypotheses), len(references))
    assert scores.tolist() == expected


async def test_case_and_punctuation_do_not_count_and_repetition_does():
    utility = registry.parse("utilities", "token_f1")
    assert utility == TokenF1()
    scores = await utility(
        ["Die Antwort: 12!"], ["die antwort 12", "12 12", "?"], Context({"policy": Fake()})
    )
    assert scores.tolist() == [[1.0, 0.4, 0.0]]
    assert np.array_equal(token_f1_matrix(["…"], ["?"]), [[1.0]])
