"""Synthetic candidate pools in five scripts: paraphrase-like edits of one base text."""

from __future__ import annotations

from random import Random

BASE_BY_SCRIPT = {
    "Latin": (
        "When the river rose again last spring, the people of the old town carried their"
        " books, tools and photographs to the upper floors, and for three long days nobody"
        " could say whether the bridge would hold. In the end the water fell as quietly as it"
        " had come, leaving behind a thin layer of mud and an unexpected sense of relief."
    ),
    "Cyrillic": (
        "Когда прошлой весной река снова поднялась, жители старого города перенесли свои"
        " книги, инструменты и фотографии на верхние этажи, и целых три долгих дня никто не мог"
        " сказать, выдержит ли мост. В конце концов вода ушла так же тихо, как и пришла,"
        " оставив после себя тонкий слой грязи и неожиданное чувство облегчения у всех, кто"
        " остался дома."
    ),
    "Han": (
        "去年 春天 河水 再次 上涨 的 时候 ， 老城 里 的 居民 把 自己 的 书籍 、 工具 和 照片 都"
        " 搬到 了 楼上 ， 整整 三天 谁 也 说不准 那座 桥 能不能 撑住 。 最后 洪水 像 来时 一样 悄悄"
        " 退去 ， 只 留下 薄薄 的 一层 泥沙 ， 以及 一种 出乎意料 的 轻松 感觉 。"
    ),
    "Devanagari": (
        "पिछले वसंत में जब नदी फिर से चढ़ गई, तो पुराने शहर के लोग अपनी किताबें, औज़ार और"
        " तस्वीरें ऊपर की मंज़िलों पर ले गए, और पूरे तीन लंबे दिनों तक कोई नहीं कह सका कि पुल"
        " टिकेगा या नहीं। आख़िर में पानी उतनी ही चुपचाप उतर गया जितनी चुपचाप आया था, और पीछे"
        " कीचड़ की एक पतली परत और राहत का अनपेक्षित एहसास छोड़ गया।"
    ),
    "Arabic": (
        "عندما ارتفع النهر مرة أخرى في الربيع الماضي، نقل سكان المدينة القديمة كتبهم وأدواتهم"
        " وصورهم إلى الطوابق العليا، ولم يستطع أحد طوال ثلاثة أيام طويلة أن يقول ما إذا كان"
        " الجسر سيصمد أم لا. وفي النهاية انحسرت المياه بهدوء كما جاءت، تاركة وراءها طبقة رقيقة"
        " من الطين وشعورا غير متوقع بالارتياح لدى جميع الذين بقوا في بيوتهم."
    ),
}
"""About fifty words each of the same story; in Han text a space marks a word and is taken out again."""


def pool(script: str, n: int, *, seed: int = 0, rate: float = 0.25) -> list[str]:
    """`n` candidates: each word of the base is edited with probability `rate`.

    A place has four alternatives that all candidates share, the first the likeliest, as the words that
    a model hesitates between; edits also drop, repeat and swap words.
    """
    rng = Random(f"{script}/{seed}")
    words = BASE_BY_SCRIPT[script].split()
    glue = "" if script == "Han" else " "
    slots = [[_variant(w, words, rng) for _ in range(4)] for w in words]
    return [glue.join(_edited(words, slots, rate, rng)) for _ in range(n)]


def _variant(word: str, words: list[str], rng: Random) -> str:
    """Another word, or the same one with another ending."""
    other = rng.choice(words)
    return word[: max(1, len(word) - 2)] + other[-2:] if rng.random() < 0.5 else other


def _edited(words: list[str], slots: list[list[str]], rate: float, rng: Random) -> list[str]:
    out: list[str] = []
    for word, slot in zip(words, slots, strict=True):
        if rng.random() >= rate:
            out.append(word)
            continue
        kind = rng.random()
        if kind < 0.7:
            out.append(rng.choices(slot, (8, 4, 2, 1))[0])
        elif kind < 0.8:
            pass
        elif kind < 0.9:
            out.extend((rng.choice(slot), word))
        else:
            out.insert(max(0, len(out) - 1), word)
    return out
