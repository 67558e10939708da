from xml.etree import ElementTree as ET

import pytest

from nbest.evaluate.estimators import Estimate
from nbest.report import charts
from nbest.report.charts import Part, Span
from nbest.report.curves import Curve, Panel, Point, curves
from nbest.report.svg import Axis, Svg
from nbest.report.table import Scale

HOSTILE = '<script>x</script>"&\x00\x1b\ufffe\ud83d'


def two_curves(**options):
    points = [Point(x, Estimate(0.5, 0.4, 0.6), HOSTILE) for x in (100, 400)]
    panel = Panel(HOSTILE, [Curve(HOSTILE, points), Curve("日本語", points)])
    return curves([panel], title=HOSTILE, x_title="x", y_title="y", scale=Scale(), **options)


DRAWINGS = {
    "curves": lambda: two_curves(log=True),
    "strata": lambda: two_curves(x_labels=["a", "b"] * 250),
    "heatmap": lambda: charts.heatmap(
        [HOSTILE, "b"], ["ar", "ja"], {(HOSTILE, "ar"): (0.5, HOSTILE)}, title="t", scale=Scale()
    ),
    "spans": lambda: charts.spans(
        [("all", {HOSTILE: Span(-1, 0, 1, "tip")})], title="t", x_title="x", scale=Scale()
    ),
    "bars": lambda: charts.bars(
        [(HOSTILE, [Part("policy", "policy input", 3, is_light=True), Part("judge", "judge output", 1)])],
        title="t",
        x_title="x",
    ),
    "bars of nothing": lambda: charts.bars([("a", [])], title="t", x_title="x"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_xml_inside_its_frame_and_without_a_script(name):
    drawing = DRAWINGS[name]()
    for text in (drawing.inline(), drawing.alone()):
        tree = ET.fromstring(text)
        assert not [e for e in tree.iter() if e.tag.endswith("script")]
        _, _, width, height = map(float, tree.get("viewBox").split())
        for e in tree.iter("{http://www.w3.org/2000/svg}text"):
            assert -8 <= float(e.get("x")) <= width
            assert -8 <= float(e.get("y")) <= height


def test_a_file_of_its_own_knows_no_variables():
    assert "var(" not in DRAWINGS["curves"]().alone()
    assert "--" not in DRAWINGS["curves"]().alone()
    assert "#0072b2" in DRAWINGS["curves"]().alone()


def test_a_point_without_an_interval_has_no_whisker():
    points = [Point(1, Estimate(0.2, None, None), "a"), Point(2, Estimate(0.5, 0.1, 0.6), "b")]
    drawn = curves(
        [Panel("", [Curve("c", points)])], title="t", x_title="x", y_title="y", scale=Scale()
    ).alone()
    assert drawn.count('class="whisker') == 1


def test_a_method_keeps_its_colour_where_it_is_one_of_fewer():
    panel = Panel("", [Curve("b", [Point(1, Estimate(1, 1, 1), "tip")])])
    drawn = curves([panel], title="", x_title="", y_title="", scale=Scale(), series=["a", "b"]).inline()
    assert "c1" in drawn
    assert "c0" not in drawn


@pytest.mark.parametrize(("low", "high"), [(1, 1), (0.1, 1e6), (3, 4), (90, 110), (5, 5.0001)])
@pytest.mark.parametrize("log", [True, False])
def test_an_axis_has_ticks_in_order_and_keeps_its_ends(low, high, log):
    axis = Axis(low, high, 0, 100, log=log)
    assert axis.ticks == sorted(set(axis.ticks))
    assert axis.ticks
    assert -1e-6 <= axis(low) <= axis(high) <= 100 + 1e-6


def test_a_tip_is_the_title_of_its_shape():
    svg = Svg(10, "t")
    svg.marker(1, 1, 0, "a < b")
    assert ET.fromstring(svg.inline())[0][0].text == "a < b"
