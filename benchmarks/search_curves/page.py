"""Writes the tables between the marks of docs/search-curves.md, and its figures."""

import json
from pathlib import Path

import chains
import figures
import tables
from measure import VERIFIERS, Study
from plan import BEAM, DIFFERENT, DVTS, PARTICLES, REBASE
from verifiers import DEAR, SCORERS, auc_of

from nbest.evaluate.confidence import Estimate
from nbest.report.table import Table, count

GAIN = "![Gain by verifier quality](images/search-gain.svg)"
QUINTILES = "![Gain by difficulty](images/search-quintiles.svg)"
BEGIN, END = "<!-- tables -->\n", "<!-- end -->"


def write(out: Path, docs: Path) -> None:
    results = tables.Results(Study(out))
    images = docs.parent / "images"
    parts = []
    for name, svg in figures.drawn(results).items():
        (images / name).write_text(svg.alone() + "\n", encoding="utf-8")
    parts.append(("How good the verifiers are", [scorers(out)]))
    parts.append(("Without a verifier", [tables.baselines(results)]))
    for by in VERIFIERS:
        names = [f"search-{by}", *([f"search-{by}-others"] if by[0].isdigit() else [])]
        pictures = [f"![Accuracy against cost, {tables.title(by)}](images/{name}.svg)" for name in names]
        parts.append((tables.title(by), [*pictures, tables.methods(results, by)]))
    parts.append(("Searches against each other", [GAIN, tables.duels(results), tables.over_greedy(results)]))
    by_method = [tables.quintiles(results, m) for m in (BEAM, REBASE, DVTS, PARTICLES, DIFFERENT)]
    parts.append(("By difficulty", [tables.levels(results), QUINTILES, *by_method]))
    parts.append(("By language", [tables.languages(results, m) for m in (BEAM, REBASE, DVTS, PARTICLES)]))
    parts.append(("Revisions", chains.revisions(results)))
    text = "\n".join(
        f"\n## {heading}\n\n" + "\n\n".join(t if isinstance(t, str) else t.markdown() for t in shown) + "\n"
        for heading, shown in parts
    )
    head, begin, rest = docs.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    docs.write_text(head + begin + text + end + tail, encoding="utf-8")


def scorers(out: Path) -> Table:
    found = json.loads((out / "verifiers.json").read_text(encoding="utf-8"))

    def percent(e: Estimate | None) -> str:
        return f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]" if e else "–"

    rows = []
    for spec in SCORERS:
        if spec in found:
            of = found[spec]
            tokens = sum(r["tokens"] for r in of) / len(of)
            rows.append(
                (
                    f"`{spec}`",
                    percent(auc_of(of, "answers")),
                    percent(auc_of(of, "beginnings")),
                    count(round(tokens)),
                )
            )
    columns = ("verifier", "AUC, finished answers", "AUC, prefixes", "its tokens per prompt")
    num_prompts = max((len(rows) for rows in found.values()), default=0)
    note = f"Of 16 samples and their distinct prefixes, {num_prompts} prompts; `{DEAR}` of 13."
    return Table(
        title="AUC within a problem, and what it costs", columns=columns, rows=tuple(rows), note=note
    )
