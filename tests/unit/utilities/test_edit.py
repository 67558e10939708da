from hypothesis import given, settings
from hypothesis import strategies as st

from nbest import registry
from nbest.context import Context
from nbest.engines.fake import Fake
from nbest.utilities.edit import Edit, edit_matrix
from nbest.utilities.words import graphemes

texts = st.one_of(st.text(max_size=8), st.text("aé😀去\u0301", max_size=12))


def naive(hypothesis, reference):
    """By the recurrence."""
    h, r = graphemes(hypothesis), graphemes(reference)
    row = list(range(len(r) + 1))
    for i, a in enumerate(h, 1):
        above, row = row, [i]
        for j, b in enumerate(r, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return 1 - row[-1] / max(len(h), len(r), 1)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=6), st.lists(texts, max_size=6))
def test_equals_its_definition(hypotheses, references):
    scores = edit_matrix(hypotheses, references)
    assert scores.shape == (len(hypotheses), len(references))
    expected = [[naive(h, r) for r in references] for h in hypotheses]
    assert all(
        abs(a - b) < 1e-12
        for x, y in zip(scores.tolist(), expected, strict=True)
        for a, b in zip(x, y, strict=True)
    )
    assert edit_matrix(hypotheses, hypotheses).tolist() == edit_matrix(hypotheses, list(hypotheses)).tolist()


async def test_a_character_is_what_a_reader_sees():
    utility = registry.parse("utilities", "edit")
    assert utility == Edit()
    scores = await utility(["e\u0301t", "👩‍👩‍👧", ""], ["at", "👦", ""], Context({"policy": Fake()}))
    assert scores.tolist() == [[0.5, 0, 0], [0, 0, 0], [0, 0, 1]]
