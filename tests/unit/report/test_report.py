import asyncio
import base64
import gzip
import json
import re
import sys

import pytest

import runs
from nbest import registry
from nbest.datasets import read_pools
from nbest.errors import InputError, MissingExtraError, RecordsError
from nbest.evaluate.compare import compare
from nbest.evaluate.estimators import correctness
from nbest.records import read_outcomes
from nbest.report import compared
from nbest.report.browse import CANDIDATES_DIFFER
from nbest.report.figure import mean_of
from nbest.report.figures import figures
from nbest.report.gather import gather
from nbest.report.report import write
from nbest.types import Candidate, replace


@pytest.fixture
def two_runs(tmp_path):
    return runs.two_runs(tmp_path)


def gathered(paths, **options):
    return asyncio.run(gather(paths, **options))


def data_of(page):
    """What the page carries, by id."""
    text = page.read_text(encoding="utf-8")
    found = dict(re.findall(r'<script type="text/plain" id="([\w-]+)">([^<]*)</script>', text))
    return {k: json.loads(gzip.decompress(base64.b64decode(v))) for k, v in found.items()}


def records_of(page):
    data = data_of(page)
    return [r for k in sorted(data) if k.startswith("block") for r in data[k]]


def test_scores_cost_and_pools_are_those_of_the_records(two_runs):
    found = gathered(two_runs)
    assert found.score == "oracle"
    for run, path in zip(found.runs, two_runs, strict=True):
        outcomes = list(read_outcomes(path))
        assert [run.values[found.ids.index(o.prompt.id)] for o in outcomes] == correctness(outcomes).tolist()
        assert run.usage["policy"].completion == sum(o.usage["policy"].completion for o in outcomes)
        assert run.tokens[0] == 18 - 4 + 20 + 110
    assert [len(pools) for pools in found.pools] == [1] * 30
    assert found.runs[0].sampler == "hedged(n=4)"


def test_a_pool_that_two_runs_chose_from_is_written_once_and_another_pool_again(tmp_path, two_runs):
    other = runs.write(tmp_path / "other", [runs.outcome(0, "ar", num=3, strategy="vote")])
    write([*two_runs, other], out=tmp_path / "r.html")
    by_id = {r["id"]: r for r in records_of(tmp_path / "r.html")}
    assert [len(p["c"]) for p in by_id["0-ar"]["pools"]] == [4, 3]
    assert [c["p"] for c in by_id["0-ar"]["choices"]] == [0, 0, 1]
    assert [len(p["c"]) for p in by_id["0-ja"]["pools"]] == [4]


def test_the_figures_are_there_with_their_tables(two_runs):
    made = {f.name: f for f in figures(gathered(two_runs))}
    assert list(made) == ["methods", "scaling", "languages", "hope-risk", "difficulty", "cost"]
    rows = {r[0]: r for r in made["methods"].tables[0].rows}
    assert rows["first"][2].startswith("50.0 [")
    assert rows["first"][3] == "–"
    assert made["cost"].tables[0].rows[0][1:] == ("judge", "100", "10", "0", "1")
    everywhere = made["hope-risk"].tables[0].rows[0]
    assert everywhere[:3] == ("all", "hedged(n=4)", "30")
    assert [c.split(" [")[0] for c in everywhere[3:6]] == ["−33.3", "+8.3", "+50.0"]
    assert made["difficulty"].tables[0].columns == ("method", "easiest: 5", "hardest: 25")


def test_a_comparison_becomes_curves(tmp_path, two_runs):
    pools = list(read_pools(str(two_runs[0])))
    scorer = registry.parse("scorers", "oracle")
    found = asyncio.run(compare(pools, ["first", "vote"], scorer=scorer, resamples=2))
    compared.write(found, tmp_path / "compared")
    assert compared.read(tmp_path / "compared") == found
    write([*two_runs, tmp_path / "compared"], out=tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'id="scaling"' in page
    assert 'id="gain"' in page
    assert 'id="scaling-languages"' in page


def test_a_few_wrong_answers_are_no_certainty_in_report_and_comparison_either(two_runs):
    found = gathered(two_runs)
    wrong = [i for i, value in found.runs[0].values.items() if value == 0][:4]
    found.clusters = list(map(str, range(len(found.clusters))))
    mean = mean_of(found, found.runs[0], wrong)
    assert mean.num_prompts == 4
    assert mean.estimate == pytest.approx((0, 0, 0.602), abs=1e-3)
    pools = [p for p in read_pools(str(two_runs[0])) if p.prompt.id.startswith(("1-", "3-"))]
    pools = [p._replace(gold={"answer": "7", "cluster": p.prompt.id}) for p in pools]
    compared_ = asyncio.run(compare(pools, ["first"], scorer=registry.parse("scorers", "oracle"), sizes=[2]))
    assert compared_.cells[0].value == pytest.approx((0, 0, 1 - 0.025**0.1))


def test_the_header_counts_answers_and_steps_and_only_answers_differ(tmp_path):
    drawn = runs.outcome(0, "ja", num=4)
    step, *answers = drawn.candidates
    pool = (replace(step, finish="step"), *(replace(c, text=answers[0].text, parents=(0,)) for c in answers))
    selection = replace(drawn.selection, winner=pool[1])
    run = runs.write(tmp_path / "search", [replace(drawn, candidates=pool, selection=selection)])
    write([run], out=tmp_path / "r.html")
    assert "1 prompts, 3 answers made from others or in other languages, 1 steps, ja" in (
        tmp_path / "r.html"
    ).read_text(encoding="utf-8")
    assert not data_of(tmp_path / "r.html")["index"]["prompts"][0][2] & CANDIDATES_DIFFER


def test_nothing_of_a_candidate_is_markup(tmp_path, two_runs):
    write(two_runs, out=tmp_path / "r.html", title="a < b")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "pwned" not in page
    assert "<h1>a &lt; b</h1>" in page
    assert runs.HOSTILE in records_of(tmp_path / "r.html")[0]["pools"][0]["c"][3]["t"]
    scripts = re.findall(r"<script(?: [^>]*)?>", page)
    assert [s for s in scripts if "text/plain" not in s] == ["<script>"]
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page


def test_the_same_records_in_another_order_give_the_same_pools(tmp_path):
    rows = [runs.outcome(i, lang) for i in range(12) for lang in ("ar", "ja")]
    for name, order in (("a", rows), ("b", rows[::-1])):
        path = runs.write(tmp_path / name / "run", order)
        write([path], out=tmp_path / f"{name}.html")
    assert records_of(tmp_path / "a.html") == records_of(tmp_path / "b.html")
    assert [r["id"] for r in records_of(tmp_path / "a.html")][:4] == ["0-ar", "0-ja", "1-ar", "1-ja"]


def test_failed_prompts_fused_answers_and_notes_are_shown(tmp_path):
    fused = Candidate(id=4, text="الجواب: ٤٢", parents=(1, 2))
    rows = [
        runs.outcome(0, "ar", failed=True),
        runs.outcome(1, "ar", new=fused),
        runs.outcome(2, "ar"),
    ]
    path = runs.write(tmp_path / "run", rows)
    write([path], out=tmp_path / "r.html")
    failed, new, _ = records_of(tmp_path / "r.html")
    assert failed["choices"][0]["error"] == "no candidate is left"
    assert failed["choices"][0]["s"] == 0
    assert new["choices"][0] | {"d": None} == new["choices"][0] | {
        "w": 4,
        "text": fused.text,
        "parents": [1, 2],
        "s": 1,
        "notes": ["judge: asked twice"],
        "d": None,
    }
    flags = [row[2] for row in data_of(tmp_path / "r.html")["index"]["prompts"]]
    assert [f & 8 for f in flags] == [8, 0, 0]
    assert [f & 16 for f in flags] == [0, 16, 0]


def test_without_ground_truth_there_are_pools_and_costs(tmp_path):
    path = runs.write(tmp_path / "run", [runs.outcome(i, "ja", gold=None) for i in range(3)])
    found = gathered([path])
    assert found.score is None
    assert [f.name for f in figures(found)] == ["methods", "cost"]
    write([path], out=tmp_path / "r.html")
    assert len(records_of(tmp_path / "r.html")) == 3


def test_a_prompt_that_nothing_was_drawn_for_is_wrong(tmp_path):
    path = runs.write(tmp_path / "run", [runs.outcome(1, "ja"), runs.outcome(2, "ja", failed=True, num=0)])
    assert list(gathered([path]).runs[0].values.values()) == [1, 0]


def test_clusters_widen_the_intervals(two_runs):
    alone = figures(gathered(two_runs))[0].tables[0].rows
    together = figures(gathered(two_runs, cluster="problem"))[0].tables[0].rows
    assert alone[0][2].split(" [")[0] == together[0][2].split(" [")[0]
    assert alone[0][2] != together[0][2]


def test_tables_numbers_and_figures_as_files(tmp_path, two_runs):
    written = write(
        two_runs,
        out=None,
        markdown=tmp_path / "o" / "r.md",
        latex=tmp_path / "o" / "r.tex",
        json=tmp_path / "o" / "r.json",
    )
    assert [p.name for p in written] == ["r.md", "r.tex", "r.json"]
    facts = json.loads(written[2].read_text(encoding="utf-8"))
    assert facts["runs"][1]["scores"]["0-ar"] == 0
    assert r"\begin{tabular}" in written[1].read_text(encoding="utf-8")


def test_figures_are_svg_and_png(tmp_path, two_runs):
    pytest.importorskip("resvg_py", reason="the renderer of PNGs is not installed")
    written = write(two_runs, out=None, drawings=tmp_path / "figures")
    assert {p.stem for p in written} == {"scaling", "languages", "hope-risk", "difficulty", "cost"}
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in written if p.suffix == ".png")


def test_without_a_renderer_the_svg_files_are_written_and_the_extra_is_named(tmp_path, two_runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingExtraError, match=r"nbest\[report\]"):
        write(two_runs, out=None, drawings=tmp_path / "figures")
    assert (tmp_path / "figures" / "cost.svg").exists()


def test_mistakes_are_named(tmp_path, two_runs):
    with pytest.raises(InputError, match="needs a run"):
        write([], out=None)
    with pytest.raises(RecordsError, match="no run directory"):
        write([tmp_path], out=None)
    with pytest.raises(InputError, match="no run is called so; known: pool, first"):
        write(two_runs, out=None, baseline="voted")
    with pytest.raises(InputError, match="nothing is recorded"):
        write([runs.write(tmp_path / "empty", [])], out=None)
    other = runs.write(tmp_path / "other", [runs.outcome(9, "ar")])
    clash = runs.outcome(9, "ja")
    clash = type(clash)(**{f: getattr(clash, f) for f in clash.__struct_fields__} | {"prompt": clash.prompt})
    renamed = type(clash.prompt)(id="9-ar", messages=clash.prompt.messages)
    clash = type(clash)(**{f: getattr(clash, f) for f in clash.__struct_fields__} | {"prompt": renamed})
    with pytest.raises(InputError, match="different prompts under id '9-ar'"):
        write([other, runs.write(tmp_path / "clash", [clash])], out=None)
