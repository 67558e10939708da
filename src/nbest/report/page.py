"""One HTML file that needs nothing else: figures, the tables behind them, and every pool."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

import msgspec

from nbest.report import browse
from nbest.report.figure import Figure
from nbest.report.findings import Findings
from nbest.report.svg import stylesheet
from nbest.report.table import count, paragraph


def page(found: Findings, figures: Sequence[Figure], *, title: str, footer: str) -> Iterator[str]:
    """The page in pieces, so that a large one is never held whole.

    Figures and tables are made here, with every text escaped. Pools are compressed JSON that the page's
    script shows as text nodes; a content security policy lets no other script run.
    """
    script = _file("tree.js") + _file("page.js")
    values = {
        "title": escape(title),
        "lead": escape(_lead(found)),
        "nav": "".join(f'<a href="#{f.name}">{escape(f.title)}</a>' for f in figures)
        + '<a href="#pools">Pools</a>',
        "style": stylesheet() + _file("page.css"),
        "sections": "\n".join(map(_section, figures)),
        "footer": escape(footer),
        "script-hash": f"'sha256-{_digest(script)}'",
        "script": script,
    }
    for piece in re.split(r"\{\{([\w-]+)\}\}", _file("page.html")):
        if piece == "data":
            yield from _data(found)
        else:
            yield values.get(piece, piece)


def _reading_order(record: browse.Record) -> list[tuple[int, str]]:
    """By id, numbers in it by their value; not by which answer came first."""
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", record.id)]


def _file(name: str) -> str:
    return files("nbest.report").joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Of the element's content: the template has a line break before and after it."""
    return base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode("ascii")


def _lead(found: Findings) -> str:
    counts = {
        "draws": sum(r.num_draws for r in found.records),
        "answers made from others or in other languages": sum(r.num_others for r in found.records),
        "steps": sum(r.num_steps for r in found.records),
    }
    parts = [f"{count(len(found.ids))} prompts"]
    parts += [f"{count(num)} {what}" for what, num in counts.items() if num]
    languages = found.known_languages
    if len(languages) > 1:
        parts.append(f"{len(languages)} languages")
    else:
        parts += languages
    parts.append("1 run" if len(found.runs) == 1 else f"{len(found.runs)} runs")
    seeds = sorted({s for r in found.runs for s in r.seeds})
    return ", ".join(parts) + f"; seed {', '.join(map(str, seeds))}."


def _section(figure: Figure) -> str:
    body = "".join(t.html(is_titled=t.title != figure.title) for t in figure.tables)
    if figure.drawing is not None:
        if body:
            body = f"<details><summary>The numbers</summary>{body}</details>"
        body = f"<figure>{figure.drawing.inline()}</figure>{body}"
    caption = paragraph("caption", figure.caption)
    return f'<section id="{figure.name}">\n<h2>{escape(figure.title)}</h2>\n{caption}{body}\n</section>'


def _data(found: Findings) -> Iterator[str]:
    """Blocks of records, and then the index that says where each prompt is."""
    prompts: list[tuple[object, ...]] = []
    for k, (records, data) in enumerate(browse.blocks(sorted(found.records, key=_reading_order))):
        prompts += [(r.id, r.language, r.flags, r.head, k, place) for place, r in enumerate(records)]
        yield f'<script type="text/plain" id="block-{k}">{data}</script>\n'
    index = {
        "score": found.score,
        "runs": [r.label for r in found.runs],
        "languages": found.known_languages,
        "prompts": prompts,
    }
    yield f'<script type="text/plain" id="index">{browse.packed(msgspec.json.encode(index))}</script>'
