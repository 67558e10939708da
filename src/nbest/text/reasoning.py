"""What a text says once the reasoning that a model wrote into it is taken out.

Servers that keep reasoning apart put it into `Candidate.reasoning`; others leave it in the text, between
tags that depend on the model: `<think>…</think>` (DeepSeek, Qwen), `[THINK]…[/THINK]` (Magistral),
`◁think▷…◁/think▷` (Kimi), `<reasoning>…</reasoning>`, `<|channel|>analysis … <|channel|>final` (gpt-oss).
"""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = "(?:seed:)?think(?:ing)?|thoughts?|reasoning|scratchpad"
_TAG = re.compile(
    # What begins no tag is passed over by its second character: a text may hold thousands of brackets.
    rf"[<◁](?=[/str])(?P<is_closing>/)?(?:{_NAMES})[>▷]"
    r"|\[(?=[/t])(?P<closes_bracket>/)?think(?:ing)?\]"
    r"|<\|channel\|>\s?(?P<channel>\w{1,40})[^<]{0,80}<\|message\|>",
    re.IGNORECASE,
)
_FINAL_CHANNEL: Final = "final"
_HINTS: Final = ("<", "[", "◁")


def answer_text(text: str) -> str:
    """`text` without its reasoning: what a reader, a judge or a grader should look at.

    Everything up to the last closing tag is reasoning where the opening one is in the prompt (as chat
    templates put it there); everything behind an opening tag that never closes is reasoning too, so that
    a text that was cut off while reasoning says nothing. A text without such tags comes back as it is.
    """
    if not any(hint in text for hint in _HINTS):
        return text
    tags = list(_TAG.finditer(text))
    if not tags:
        return text

    kept: list[str] = []
    depth, start = 0, 0
    for tag in tags:
        if tag["channel"]:
            is_final = tag["channel"].lower() == _FINAL_CHANNEL
            kept, depth, start = [], int(not is_final), tag.end()
        elif not (tag["is_closing"] or tag["closes_bracket"]):
            if depth == 0:
                kept.append(text[start : tag.start()])
            depth += 1
        elif depth == 0:  # the opening tag stands in the prompt
            kept, start = [], tag.end()
        else:
            depth, start = depth - 1, tag.end()
    if depth == 0:
        kept.append(text[start:])
    return "".join(kept).strip()
