"""The tree of a recorded search as SVG and DOT."""

import re
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from nbest.cli.main import app
from nbest.errors import InputError
from nbest.records import RunWriter
from nbest.report.search_tree import draw, tree_svg
from nbest.types import Candidate, Message, Outcome, Prompt, Selection

SVG = "{http://www.w3.org/2000/svg}"
STEPS = {
    "ar": ["أولا ٣ + ٤ = ٧", "الجواب: ٧"],
    "hi": ["पहले ३ + ४ = ७", "उत्तर: ७"],
    "ja": ["まず３＋４＝７", "答え：７"],
    "th": ["ก่อนอื่น ๓ + ๔ = ๗", "คำตอบ: ๗"],
}


VALUES = {"0": 0.5, "1": 0.25, "3": 1.0}


def searched(language="ja", *, candidates=None):
    """Two first steps of the same words and one other; answers from the best."""
    step, answer = STEPS[language]
    pool = candidates or (
        Candidate(id=0, text=f"{step}\n", finish="step"),
        Candidate(id=1, text="<b>&\n", finish="step"),
        Candidate(id=2, text=f"{step}\n", finish="step"),
        Candidate(id=3, text=f"{step}\n{answer}", parents=(0,)),
        Candidate(id=4, text=f"{step}\n{answer}…", finish="length", parents=(0,)),
    )
    winner = pool[3 if len(pool) > 3 else 0]
    return Outcome(
        prompt=Prompt(id=f"p-{language}", messages=(Message(role="user", content="?"),), language=language),
        strategy="tree",
        seed=0,
        selection=Selection(winner=winner, weights={winner.id: 1.0}, details={"values": VALUES}),
        candidates=tuple(pool),
        usage={},
    )


def drawn(outcome):
    return ET.fromstring(tree_svg(outcome).alone())


def texts(root):
    return ["".join(t.itertext()).strip("\u200f") for t in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("language", STEPS)
def test_each_step_once_with_its_value_and_how_often_it_was_drawn(language):
    step, answer = STEPS[language]
    said = texts(drawn(searched(language)))
    assert said.count(step) == 1
    assert said[said.index(step) + 1] == "0.5  ×2"
    assert said[said.index(answer) + 1 : said.index(answer) + 3] == ["1", "★ #3"]


def test_the_path_to_the_chosen_answer_is_marked():
    root = drawn(searched())
    edges = [p.get("class") for p in root.iter(f"{SVG}path")]
    boxes = [r.get("class") for r in root.iter(f"{SVG}rect") if (r.get("class") or "").startswith("box")]
    assert sorted(edges) == ["edge", "edge", "edge on-path", "edge on-path"]
    assert sorted(boxes) == ["box cut", "box left", "box on-path", "box on-path"]


def test_the_best_comes_first_and_parents_stand_amid_their_children():
    root = drawn(searched())
    y = {r[0].text: float(r.get("y")) for r in root.iter(f"{SVG}rect") if len(r)}
    step, answer = (f"{STEPS['ja'][0]}\n", f"{STEPS['ja'][0]}\n{STEPS['ja'][1]}")
    assert y[answer] < y[f"{answer}…"] < y["<b>&\n"]
    assert y[step] == (y[answer] + y[f"{answer}…"]) / 2


def test_right_to_left_texts_begin_at_the_right():
    texts = [t for t in drawn(searched("ar")).iter(f"{SVG}text") if t.text]
    anchors = {t.text.strip("\u200f"): t.get("text-anchor") for t in texts}
    assert anchors[STEPS["ar"][0]] == "end"
    assert anchors["<b>&"] == "start"


def test_a_fused_answer_has_all_its_parents():
    pool = tuple(Candidate(id=i, text=f"答え{i}") for i in range(3))
    fused = Candidate(id=3, text="答え", parents=(0, 1, 2))
    outcome = searched(candidates=pool)
    outcome = Outcome(
        prompt=outcome.prompt,
        strategy="fuse",
        seed=0,
        selection=Selection(winner=fused, weights={}),
        candidates=pool,
        usage={},
    )
    edges = [p.get("class") for p in drawn(outcome).iter(f"{SVG}path")]
    assert sorted(edges) == ["edge", "edge", "edge on-path", "edge on-path", "edge other", "edge other"]


def test_a_long_chain_is_drawn():
    chain = tuple(Candidate(id=i, text="あ" * i, parents=(i - 1,) if i else ()) for i in range(3000))
    assert len(texts(drawn(searched(candidates=chain)))) == 3 * 3000


def test_the_command_writes_svg_and_dot(tmp_path):
    with RunWriter(tmp_path / "run", {}) as writer:
        for language in STEPS:
            writer.append(searched(language))

    def nbest(*arguments):
        return CliRunner().invoke(app, ["draw", str(tmp_path / "run"), *arguments], catch_exceptions=True)

    for suffix, begins in ((".svg", "<svg"), (".dot", "digraph")):
        out = tmp_path / f"drawings/tree{suffix}"
        done = nbest("p-hi", "--out", str(out))
        assert done.stdout == f"{out}\n"
        assert out.read_text(encoding="utf-8").startswith(begins)
        assert STEPS["hi"][0] in out.read_text(encoding="utf-8")
    draw(tmp_path / "run", None, tmp_path / "first.svg")
    assert STEPS["ar"][0] in (tmp_path / "first.svg").read_text(encoding="utf-8")


def test_what_cannot_be_drawn_is_said(tmp_path):
    with RunWriter(tmp_path / "run", {}) as writer:
        writer.append(searched())
    with pytest.raises(InputError, match=re.escape("written as .svg or .dot")):
        draw(tmp_path / "run", None, tmp_path / "x.png")
    with pytest.raises(InputError, match="has no prompt 'q'; it has p-ja"):
        draw(tmp_path / "run", "q", tmp_path / "x.svg")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        draw(tmp_path / "run", None, tmp_path / "file" / "x.svg")
    empty = Outcome(prompt=searched().prompt, strategy="x", seed=0, selection=None, candidates=(), usage={})
    with pytest.raises(InputError, match="no candidate to draw"):
        tree_svg(empty)
