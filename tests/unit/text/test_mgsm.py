"""Every gold answer of MGSM, rewritten as people write numbers, in 11 languages."""

import pytest

from nbest.text import equivalent, extract
from nbest.text.answer_words import convention
from shared_data import MGSM_LANGUAGES, mgsm

ZEROS = {"bn": "০", "te": "౦", "th": "๐", "ja": "０", "zh": "０"}
SENTENCES = {
    "bn": "উত্তর হল {} ডলার।",
    "de": "Die Antwort ist {} Dollar.",
    "en": "The answer is {} dollars.",
    "es": "La respuesta es {} dólares.",
    "fr": "La réponse est {} dollars.",
    "ja": "答えは{}ドルです。",
    "ru": "Ответ: {} долларов.",
    "sw": "Jibu ni dola {}.",
    "te": "సమాధానం {} డాలర్లు.",
    "th": "คำตอบคือ {} ดอลลาร์",
    "zh": "答案是{}美元。",
}


def rewritten(gold: str, language: str) -> list[str]:
    number = int(gold.replace(",", ""))
    plain = str(number)
    zero = ord(ZEROS.get(language, "0"))
    group = {".": ",", ",": "."}[convention(language).decimals[0]]
    native = "".join(chr(zero + int(c)) if c.isdigit() else c for c in plain)
    grouped = f"{number:,}".replace(",", group)
    no_break = f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    sentence = SENTENCES[language]
    return [
        *(plain, native, grouped, no_break, f"${plain}", f"{plain} €", f"**{grouped}**"),
        *(sentence.format(form) for form in (plain, native, grouped, no_break)),
        rf"\boxed{{{plain}}}",
        f"#### {plain}",
    ]


@pytest.mark.parametrize("language", MGSM_LANGUAGES)
def test_every_gold_is_read_however_it_is_written(language):
    for _, gold in mgsm(language):
        for text in rewritten(gold, language):
            assert equivalent(extract(text, language=language), gold), text


@pytest.mark.parametrize("language", MGSM_LANGUAGES)
def test_another_number_is_not_the_gold(language):
    for _, gold in mgsm(language):
        other = str(int(gold.replace(",", "")) + 1)
        assert not equivalent(extract(SENTENCES[language].format(other), language=language), gold)
