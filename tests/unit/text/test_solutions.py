"""Worked solutions around every gold answer of MGSM, ended as models end them."""

import random

import pytest

from nbest.text import equivalent, extract
from shared_data import MGSM_LANGUAGES, mgsm

MARKED = (
    *(
        "A: {}",
        "A. {}",
        "**A:** {}",
        "A: ${}",
        "#### {}",
        "**{}**",
        "\\boxed{{{}}}",
        "$\\boxed{{{}}}$",
        "Answer: {}",
    ),
    *(
        "**Answer: {}**",
        "### Final Answer\n\n{}",
        "The final answer is {}.",
        "<answer>{}</answer>",
        "= {}",
        "{}",
    ),
)
LAST_LINES = {
    "bn": ("সুতরাং মোট {} টাকা।", "তাই তার কাছে {}টি আছে।", "৩ দিন পরে {}টি থাকবে।", "অতএব, {} ডলার।"),
    "de": ("Also hat sie {} Dollar.", "Nach 3 Tagen bleiben {} Stück übrig.", "Insgesamt sind es {} Euro für 7 Tage.", "Er braucht {} Minuten für 5 Seiten."),
    "en": ("So she has {} dollars left.", "It takes him {} minutes to read 7 pages.", "After 3 days, {} apples are left.", "She makes ${} every day with 9 eggs.", "In total, that is 9 * 2 = {} for 3 people.", "He spends a total of ${} on 4 tickets."),
    "es": ("Entonces le quedan {} dólares.", "Después de 3 días quedan {} manzanas.", "En total gasta {} dólares por 4 boletos.", "Necesita {} minutos para leer 7 páginas."),
    "fr": ("Il lui reste donc {} dollars.", "Après 3 jours, il reste {} pommes.", "Elle dépense {} dollars pour 4 billets.", "Il lui faut {} minutes pour lire 7 pages."),
    "ja": ("したがって、{}ドルです。", "3日後には{}個残ります。", "合計で{}個になります。", "よって彼女は{}ドル稼ぎます。"),
    "ru": ("Итак, у неё осталось {} долларов.", "Через 3 дня останется {} яблок.", "Всего он тратит {} долларов за 4 билета.", "Ему нужно {} минут для 7 страниц."),
    "sw": ("Kwa hiyo ana dola {}.", "Baada ya siku 3, maembe {} yanabaki.", "Jumla ni shilingi {} kwa tiketi 4."),
    "te": ("కాబట్టి ఆమె వద్ద {} డాలర్లు ఉన్నాయి.", "3 రోజుల తర్వాత {} మిగులుతాయి.", "మొత్తం {} డాలర్లు."),
    "th": ("ดังนั้นเธอมีเงิน {} ดอลลาร์", "หลัง 3 วัน เหลือ {} ผล", "รวมทั้งหมด {} บาท"),
    "zh": ("所以她还剩{}美元。", "3天后还剩{}个。", "一共是{}元。", "因此，他每天赚{}美元。"),
}  # fmt: skip


def body(question: str, gold: int, rng: random.Random) -> str:
    """Steps with numbers of their own, as solutions have them: the question's text, equations, a list."""
    a, b = rng.randint(2, 99), rng.randint(2, 99)
    steps = [
        question,
        f"{a} + {b} = {a + b}",
        f"1. {a} × {b} = {a * b}",
        f"**Step 2:** {gold + a} - {a} = {gold}",
    ]
    return "\n".join(rng.sample(steps, rng.randint(1, len(steps))))


def share_right(language: str, endings: tuple[str, ...]) -> float:
    rng = random.Random(language)
    num_right = num_read = 0
    for question, gold in mgsm(language):
        number = int(gold.replace(",", ""))
        for ending in endings:
            written = f"{number:,}" if language == "en" and rng.random() < 0.5 else str(number)
            text = f"{body(question, number, rng)}\n\n{ending.format(written)}"
            num_right += equivalent(extract(text, language=language), gold)
            num_read += 1
    return num_right / num_read


@pytest.mark.parametrize("language", MGSM_LANGUAGES)
def test_a_marked_answer_is_read(language):
    assert share_right(language, MARKED) >= 0.995


@pytest.mark.parametrize("language", MGSM_LANGUAGES)
def test_a_plain_last_line_is_read(language):
    assert share_right(language, LAST_LINES[language]) >= 0.97
