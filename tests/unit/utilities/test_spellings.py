"""Texts that a reader would call the same, spelled in two ways."""

import asyncio
import unicodedata

import pytest

from nbest import registry
from nbest.context import Context
from nbest.selection.mbr import Mbr
from nbest.types import Candidate, Prompt
from nbest.utilities.bleu import Bleu
from nbest.utilities.chrf import Chrf
from nbest.utilities.edit import Edit
from nbest.utilities.token_f1 import TokenF1

HIGHEST = {Chrf: 100.0, Bleu: 100.0, Edit: 1.0, TokenF1: 1.0}
SAME_WORDS = [
    ("كتابٌ جديدٌ", "كتاب جديد"),
    ("علی در تهران", "علي در تهران"),
    ("שָׁלוֹם עוֹלָם", "שלום עולם"),
    ("ΟΔΟΣ ΑΘΗΝΑΣ", "οδός αθηνάς"),
    ("İSTANBUL şehri", "istanbul Şehri"),
    ("Straße in Köln", "STRASSE in KÖLN"),
    ("ещё один ёж", "еще один еж"),
]
ONE_FORM = [
    "Café crème brûlée",
    "tiếng Việt đẹp",
    "हिन्दी \u0958लम",
    "한국어 문장",
    "ガラスの城",
    "Ångström år",
    "ψυχή Ἀθηνᾶ",
]


def utility_of(utility, a, b):
    return asyncio.run(utility([a], [b], Context({})))[0, 0]


@pytest.mark.parametrize("utility", [Chrf(), Chrf(word_order=2), Bleu(), Edit(), TokenF1()])
@pytest.mark.parametrize("text", ONE_FORM)
def test_composed_and_decomposed_characters_are_the_same(utility, text):
    decomposed = unicodedata.normalize("NFD", text)
    assert text != decomposed
    assert utility_of(utility, text, decomposed) == pytest.approx(HIGHEST[type(utility)])


@pytest.mark.parametrize("utility", [TokenF1(), Chrf(respell=True), Bleu(respell=True), Edit(respell=True)])
@pytest.mark.parametrize(("a", "b"), SAME_WORDS)
def test_one_word_in_two_spellings_is_one_word(utility, a, b):
    assert utility_of(utility, a, b) == pytest.approx(HIGHEST[type(utility)])


@pytest.mark.parametrize("utility", [Chrf(), Bleu(), Edit()])
@pytest.mark.parametrize(("a", "b"), SAME_WORDS)
def test_without_it_metrics_are_those_of_the_papers(utility, a, b):
    assert utility_of(utility, a, b) < HIGHEST[type(utility)]


def test_a_majority_in_two_spellings_wins():
    pool = [Candidate(id=i, text=t) for i, t in enumerate(["مدينةٌ أخرى", "كتابٌ", "كِتاب", "كتاب"])]
    for spec in ("token_f1", "chrf(respell=true)", "edit(respell=true)"):
        selector = Mbr(utility=registry.parse("utilities", spec))
        assert asyncio.run(selector(Prompt(id="p", messages=()), pool, Context({}))).winner.id in {1, 2, 3}


async def test_aggregate_compares_in_one_form_too():
    text = "Café crème"
    scores = await Chrf().aggregate([text], [unicodedata.normalize("NFD", text)], [1.0], Context({}))
    assert scores == pytest.approx([100.0])
