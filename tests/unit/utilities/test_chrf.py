import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.utilities import ngrams
from nbest.utilities.chrf import Chrf, chrf_aggregate, chrf_matrix

ODD = [
    "",
    " \u3000\n",
    "a",
    "ab",
    "a b",
    "aaaa",
    "aaaaaaaaaaaa",
    "hello (world).",
    "(hello world",
    "😀😃👩‍👩‍👧",
    "e\u0301e\u0301 é",
    "\ud800",
    "x\udfff\ud800",
    "\U0010ffff\x00",
]
WORDS = "the cat sat, кот сидел. मैं घर गया। 我们 去年 春天 كتاب قديم １２ 😀 e\u0301 (x) a".split()  # noqa: SIM905
texts = st.one_of(
    st.text(max_size=12),
    st.text("ab c", max_size=20),
    st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=12).map("".join),
    st.sampled_from(ODD),
)


def sacrebleu_matrix(hypotheses, references, **parameters):
    chrf = CHRF(**parameters)
    scores = [[chrf.sentence_score(h, [r]).score for r in references] for h in hypotheses]
    return np.array(scores, float).reshape(len(hypotheses), len(references))


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=7), st.lists(texts, max_size=7), st.sampled_from([0, 2]))
def test_equals_sacrebleu_to_the_bit(hypotheses, references, word_order):
    expected = sacrebleu_matrix(hypotheses, references, word_order=word_order)
    assert np.array_equal(chrf_matrix(hypotheses, references, word_order=word_order), expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(texts, max_size=9), st.sampled_from([(6, 0, 2), (6, 2, 2), (3, 1, 1), (1, 0, 3), (0, 2, 2)]))
def test_a_pool_with_itself_equals_sacrebleu(pool, parameters):
    named = dict(zip(("char_order", "word_order", "beta"), parameters, strict=True))
    expected = sacrebleu_matrix(pool, pool, **named)
    assert np.array_equal(chrf_matrix(pool, **named), expected)
    assert np.array_equal(chrf_matrix(pool, list(reversed(pool)), **named), expected[:, ::-1])


def test_odd_texts_against_each_other():
    assert np.array_equal(chrf_matrix(ODD), sacrebleu_matrix(ODD, ODD))


def test_an_empty_text_scores_nothing_even_with_itself():
    assert chrf_matrix(["", "a"]).tolist() == [[0, 0], [0, 100]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 2), (2, 0)])
def test_no_texts_give_an_empty_matrix(shape):
    assert chrf_matrix(["a"] * shape[0], ["b"] * shape[1]).shape == shape


@pytest.fixture
def large_pool_paths(monkeypatch):
    """Sends small pools through the sparse and sliced products of large ones."""
    monkeypatch.setattr(ngrams, "SMALL_PAIRS", 0)
    monkeypatch.setattr(ngrams, "DENSE_SHARE", 0.5)
    monkeypatch.setattr(ngrams, "DENSE_CELLS", 64)


@pytest.mark.parametrize("word_order", [0, 2])
def test_sparse_and_sliced_products_equal_the_small_one(word_order, request):
    rng = np.random.default_rng(0)
    pool = [" ".join(rng.choice(WORDS, rng.integers(0, 15))) for _ in range(24)]
    whole = chrf_matrix(pool, word_order=word_order)
    sided = chrf_matrix(pool[:9], pool[5:], word_order=word_order)
    request.getfixturevalue("large_pool_paths")
    assert np.array_equal(chrf_matrix(pool, word_order=word_order), whole)
    assert np.array_equal(chrf_matrix(pool[:9], pool[5:], word_order=word_order), sided)


def test_texts_too_large_to_pack_are_sorted_another_way():
    wide = np.array([2**40, 0, 2**40, 0, 5]), np.array([3, 2])
    narrow = np.array([2, 0, 2, 0, 1]), np.array([3, 2])
    for a, b in zip(ngrams.shared_ngrams(*wide, 3), ngrams.shared_ngrams(*narrow, 3), strict=True):
        assert a.docs.tolist() == b.docs.tolist()
        assert a.columns()[0].tolist() == b.columns()[0].tolist()


def naive_aggregate(hypotheses, references, weights, *, orders=6, beta=2.0):
    """From the definition, with dictionaries."""

    def ngrams(text, n):
        text = "".join(text.split())
        counts = {}
        for i in range(len(text) - n + 1):
            counts[text[i : i + n]] = counts.get(text[i : i + n], 0) + 1
        return counts

    shares = np.array(weights) / sum(weights)
    scores = []
    for h in hypotheses:
        p = r = effective = 0.0
        for n in range(1, orders + 1):
            mine, mean = ngrams(h, n), {}
            for reference, share in zip(references, shares, strict=True):
                for g, c in ngrams(reference, n).items():
                    mean[g] = mean.get(g, 0) + share * c
            if mine and mean:
                matches = sum(min(c, mean.get(g, 0)) for g, c in mine.items())
                p, r = p + matches / sum(mine.values()), r + matches / sum(mean.values())
                effective += 1
        p, r = p / max(effective, 1), r / max(effective, 1)
        scores.append(100 * (1 + beta**2) * p * r / (beta**2 * p + r) if p + r else 0.0)
    return scores


@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(texts, min_size=1, max_size=6), st.lists(texts, max_size=6))
def test_aggregate_equals_its_definition(data, references, others):
    n = len(references)
    weights = data.draw(st.lists(st.integers(1, 5), min_size=n, max_size=n))
    hypotheses = references + others
    expected = naive_aggregate(hypotheses, references, weights)
    assert np.allclose(chrf_aggregate(hypotheses, references, weights), expected, rtol=0, atol=1e-9)
    own = chrf_aggregate(references, references, weights)
    assert np.allclose(own, expected[:n], rtol=0, atol=1e-9)


def test_aggregate_of_one_reference_is_chrf():
    expected = chrf_matrix(ODD, ["hello world"])[:, 0]
    assert np.allclose(chrf_aggregate(ODD, ["hello world"]), expected, rtol=0, atol=1e-9)


async def test_the_plug_in_computes_the_same_in_a_thread_or_not():
    ctx = Context({"policy": Fake()})
    pool = [f"{w} {i % 50}" for i, w in enumerate(WORDS * 8)]
    scores = await Chrf(word_order=1)(pool, pool, ctx)
    assert scores.dtype == np.float64
    composed = [unicodedata.normalize("NFC", text) for text in pool]
    assert np.array_equal(scores, chrf_matrix(composed, word_order=1))
    assert np.array_equal(await Chrf(word_order=1)(pool[:3], pool, ctx), scores[:3])


@pytest.mark.parametrize("parameters", [{"char_order": 0}, {"word_order": -1}, {"beta": 0.0}])
def test_parameters_that_mean_nothing_are_refused(parameters):
    with pytest.raises(ValueError, match=r"must be|at least"):
        Chrf(**parameters)
