import pytest

from nbest.evaluate.estimators import Estimate
from nbest.report.table import Scale, Table, count

TABLE = Table(
    title="A & B",
    columns=("method", "score_%"),
    rows=(("<script>x</script> a|b", "−1.0"), ("قائمة", "50 %")),
    note="each_one",
)


def test_html_shows_every_text_as_text():
    html = TABLE.html()
    assert "<script>" not in html
    assert "&lt;script&gt;x&lt;/script&gt;" in html
    assert 'dir="auto"' in html
    assert "<caption>" not in TABLE.html(is_titled=False)


def test_markdown_keeps_its_columns():
    lines = TABLE.markdown().splitlines()
    assert lines[2] == "| method | score_% |"
    assert lines[4] == r"| <script>x</script> a\|b | −1.0 |"
    assert lines[-1] == "each_one"


def test_latex_escapes_what_it_would_read():
    latex = TABLE.latex()
    assert r"\caption{A \& B. each\_one}" in latex
    assert r"score\_\% \\" in latex
    assert "$-$1.0" in latex
    assert Table(title="t", columns=("a",), rows=(("\\{}~^",),)).latex().count("text") == 3


def test_accuracy_is_in_per_cent_and_other_scores_in_their_own_unit():
    e = Estimate(0.5, 0.25, 1.0)
    assert Scale.of("oracle", [1]).interval(e) == "50.0 [25.0, 100.0]"
    assert Scale.of("recorded(field='human')", [-1.5]).number(-1.5) == "−1.500"
    assert Scale.of("reference_oracle(utility=chrf)", [55]).number(2, signed=True) == "+2.0"
    assert Scale().number(None) == Scale().interval(None) == "–"


def test_a_value_without_an_interval_is_written_alone():
    assert Scale.of("oracle", [0.5]).interval(Estimate(0.5, None, None)) == "50.0"


def test_ticks_have_no_more_decimals_than_they_need():
    assert Scale.of("oracle", []).ticks([0, 0.5, 1]) == ["0", "50", "100"]
    assert Scale.of("oracle", []).ticks([-0.005, 0.01], signed=True) == ["−0.5", "+1.0"]


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (12.34, "12.3"), (7.0, "7"), (12345.6, "12\u202f346")]
)
def test_counts(number, text):
    assert count(number) == text
