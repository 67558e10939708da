"""Which language, which script, and pass rates."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbest.text.language import LANGUAGES, SCRIPTS_BY_LANGUAGE, identify, is_in_language, likely_language
from nbest.text.language_codes import check_language, primary_subtag
from nbest.text.language_rates import pass_rates, passes_lines, passes_words
from nbest.text.scripts import num_words, scripts
from shared_data import MGSM_LANGUAGES, mgsm

SENTENCES = {
    "ar": "ذهبت إلى السوق هذا الصباح واشتريت بعض الخضار والفواكه الطازجة لعائلتي.",
    "bn": "আজ সকালে আমি বাজারে গিয়ে পরিবারের জন্য তাজা শাকসবজি কিনেছি।",
    "cs": "Dnes ráno jsem šel na trh a koupil jsem čerstvou zeleninu pro svou rodinu.",
    "de": "Heute Morgen bin ich zum Markt gegangen und habe frisches Gemüse für meine Familie gekauft.",
    "el": "Σήμερα το πρωί πήγα στην αγορά και αγόρασα φρέσκα λαχανικά για την οικογένειά μου.",
    "en": "This morning I went to the market and bought fresh vegetables for my family.",
    "es": "Esta mañana fui al mercado y compré verduras frescas para mi familia.",
    "fa": "امروز صبح به بازار رفتم و برای خانواده‌ام سبزیجات تازه خریدم.",
    "fr": "Ce matin, je suis allé au marché et j'ai acheté des légumes frais pour ma famille.",
    "he": "הבוקר הלכתי לשוק וקניתי ירקות טריים למשפחה שלי.",
    "hi": "आज सुबह मैं बाज़ार गया और अपने परिवार के लिए ताज़ी सब्ज़ियाँ खरीदीं।",
    "id": "Pagi ini saya pergi ke pasar dan membeli sayuran segar untuk keluarga saya.",
    "it": "Stamattina sono andato al mercato e ho comprato verdure fresche per la mia famiglia.",
    "ja": "今朝、市場に行って、家族のために新鮮な野菜を買いました。",
    "ko": "오늘 아침에 시장에 가서 가족을 위해 신선한 채소를 샀습니다.",
    "nl": "Vanmorgen ben ik naar de markt gegaan en heb ik verse groenten gekocht voor mijn gezin.",
    "pl": "Dziś rano poszedłem na targ i kupiłem świeże warzywa dla mojej rodziny.",
    "pt": "Esta manhã fui ao mercado e comprei legumes frescos para a minha família.",
    "ro": "În această dimineață am mers la piață și am cumpărat legume proaspete pentru familia mea.",
    "ru": "Сегодня утром я пошёл на рынок и купил свежие овощи для своей семьи.",
    "sw": "Asubuhi hii nilienda sokoni na nikanunua mboga mbichi kwa ajili ya familia yangu.",
    "te": "ఈ ఉదయం నేను మార్కెట్‌కు వెళ్లి నా కుటుంబం కోసం తాజా కూరగాయలు కొన్నాను.",
    "th": "เช้านี้ฉันไปตลาดและซื้อผักสดให้ครอบครัวของฉัน",
    "tr": "Bu sabah pazara gittim ve ailem için taze sebze satın aldım.",
    "uk": "Сьогодні вранці я пішов на ринок і купив свіжі овочі для своєї родини.",
    "vi": "Sáng nay tôi đã đi chợ và mua rau tươi cho gia đình tôi.",
    "zh": "今天早上我去市场给家人买了新鲜的蔬菜和水果。",
}


def test_every_language_has_a_sentence():
    assert tuple(sorted(SENTENCES)) == LANGUAGES == tuple(sorted(SCRIPTS_BY_LANGUAGE))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("答案是四十二个苹果。", "zh"),
        ("उत्तर: १८ है", "hi"),
        ("答えは18個です。", "ja"),
        ("คำตอบ: ๑๘ AI", "th"),
        ("الجواب: ١٨", "ar"),
        ("Ответ: 18", "ru"),
        ("Answer: 18", None),
        ("42 + x", None),
        ("", None),
        *((text, code) for code, text in SENTENCES.items()),
    ],
)
def test_a_likely_language_is_told_of_short_texts_where_the_script_says_it(text, language):
    assert likely_language(text) == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_is_in_its_language_and_in_no_other(language):
    found = identify(SENTENCES[language])
    assert found is not None
    assert found[0] == language
    assert is_in_language(SENTENCES[language], language) is True
    assert is_in_language(SENTENCES["ja" if language == "en" else "en"], language) in {
        False,
        language == "en",
    }
    assert [other for other in LANGUAGES if is_in_language(SENTENCES[other], language)] == [language]


@pytest.mark.parametrize(
    "text", ["", "42", "|---|---|", "$x^2 + 1 = 0$", "`code only here`", "OK", "Paris", "好"]
)
def test_what_is_too_short_is_undecided(text):
    assert identify(text) is None
    assert is_in_language(text, "de") is None
    assert passes_lines(text, "de") is None


def test_region_and_script_subtags_do_not_matter():
    assert is_in_language(SENTENCES["pt"], "pt-BR") is True
    assert is_in_language(SENTENCES["zh"], "zh_Hans_CN") is True


def test_a_language_nobody_knows_is_undecided():
    assert is_in_language(SENTENCES["en"], "tlh") is None
    assert identify(SENTENCES["en"], ["tlh"]) is None
    assert identify(SENTENCES["en"], []) is None


def test_another_identifier_fits():
    assert is_in_language(SENTENCES["en"], "fr", identifier=lambda text, codes: ("fr", 0.9)) is True
    assert is_in_language(SENTENCES["en"], "fr", identifier=lambda text, codes: ("fr", 0.1)) is None


def test_scripts_are_shares_of_letters():
    assert scripts("Привет, мир!") == {"Cyrillic": 1.0}
    assert scripts("ab 日本") == {"Latin": 0.5, "Han": 0.5}
    assert scripts("42 + 1") == {}


def test_words_are_counted_in_scripts_without_spaces():
    assert num_words("one two three") == 3
    assert num_words("今天早上我去市场") == 4
    assert num_words("42 1,5") == 0


def test_one_foreign_line_fails_the_answer():
    mixed = f"{SENTENCES['de']}\n{SENTENCES['en']}"
    assert passes_lines(mixed, "de") is False
    rates = pass_rates([SENTENCES["de"], mixed, "42"], "de")
    assert (rates.line, rates.word, rates.num_judged, rates.both) == (0.5, None, 2, 0.5)


def test_a_foreign_word_fails_where_the_script_is_another():
    russian = SENTENCES["ru"]
    assert passes_words(russian, "ru") is True
    assert passes_words(russian.replace("рынок", "market"), "ru") is False
    assert passes_words(russian.replace("рынок", "NASDAQ"), "ru") is True
    assert passes_words(SENTENCES["de"], "de") is None
    rates = pass_rates([russian, russian.replace("рынок", "market")], "ru")
    assert (rates.line, rates.word) == (1.0, 0.5)
    assert rates.both == pytest.approx(2 / 3)


def test_no_texts_have_no_rates():
    rates = pass_rates([], "ru")
    assert (rates.line, rates.word, rates.both, rates.num_judged) == (None, None, None, 0)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(), max_size=200), language=st.sampled_from(LANGUAGES))
def test_any_text_is_judged_without_an_error(text, language):
    assert is_in_language(text, language) in {True, False, None}
    assert passes_lines(text, language) in {True, False, None}
    assert sum(scripts(text).values()) == pytest.approx(1.0) or not scripts(text)


@pytest.mark.parametrize("language", MGSM_LANGUAGES)
def test_mgsm_questions_are_in_their_language(language):
    rates = pass_rates([question for question, _ in mgsm(language)], language)
    assert rates.num_judged >= 249
    assert rates.line is not None
    assert rates.line >= 0.995


def test_the_model_loads_when_first_used():
    code = "import sys, nbest.text.language; sys.exit('py3langid' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("code", [*LANGUAGES, "zh-Hant", "zh_Hans_CN", "pt-BR", "AR", "fil", "yue", "am"])
def test_codes_are_codes(code):
    check_language(code)


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("Arabic", "ar"), ("العربية", "ar"), ("arb_Arab", "ar"), ("Japanes", "ja"), ("jp", "ja"), ("中文", "zh"),
        ("português do Brasil", "pt"), ("HINDI", "hi"), ("हिंदी", "hi"), ("Kiswahili", "sw"), ("русский", "ru"),
    ],
)  # fmt: skip
def test_a_name_of_a_language_is_refused_with_its_code(word, code):
    with pytest.raises(ValueError, match=f"did you mean '{code}'"):
        check_language(word)


@pytest.mark.parametrize("word", ["", "xx", "a", "Klingon", "zh-", "日", "x-" * 10**6])
def test_what_is_no_code_is_refused(word):
    with pytest.raises(ValueError, match="is no language code") as e:
        check_language(word)
    assert len(str(e.value)) < 150


def test_the_primary_subtag_is_the_language_without_script_and_region():
    assert primary_subtag("zh-Hant") == primary_subtag("ZH_tw") == "zh"
    assert primary_subtag(None) == ""


OTHERS = [
    ("hi", "पुणे हे महाराष्ट्रातील एक मोठे शहर आहे आणि तेथे अनेक शैक्षणिक संस्था आहेत."),  # Marathi
    ("hi", "काठमाडौं नेपालको राजधानी हो र यो देशको सबैभन्दा ठूलो सहर हो।"),  # Nepali
    ("fa", "پاکستان کا دارالحکومت اسلام آباد ہے اور یہ ایک خوبصورت شہر ہے۔"),  # Urdu
    ("id", "Kuala Lumpur ialah ibu negara Malaysia dan merupakan bandar terbesar di negara itu."),  # Malay
    ("ru", "София е столицата на България и най-големият град в страната."),  # Bulgarian
    ("uk", "Мінск з’яўляецца сталіцай Беларусі і найбуйнейшым горадам краіны."),  # Belarusian
    ("cs", "Bratislava je hlavné mesto Slovenska a leží na rieke Dunaj blízko hraníc s Rakúskom."),  # Slovak
    ("nl", "København er hovedstaden i Danmark og landets største by med mange indbyggere."),  # Danish
    ("bn", "অসম ভাৰতৰ উত্তৰ-পূব অঞ্চলৰ এখন ৰাজ্য আৰু ইয়াৰ ৰাজধানী দিছপুৰ।"),  # Assamese
    ("pt", "Santiago de Compostela é a capital de Galicia e unha cidade moi bonita."),  # Galician
]


@pytest.mark.parametrize(("neighbour", "text"), OTHERS)
def test_a_language_outside_the_table_is_unknown_and_not_its_neighbour(neighbour, text):
    assert identify(text) is None
    assert likely_language(text) is None
    assert is_in_language(text, neighbour) is None


@pytest.mark.parametrize(("code", "text"), [("mr", OTHERS[0][1]), ("ur", OTHERS[2][1]), ("ms", OTHERS[3][1])])
def test_it_is_known_where_it_is_asked_for(code, text):
    assert is_in_language(text, code) is True
    assert is_in_language(SENTENCES["hi"], code) is not True


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", "在 Python 中使用 list comprehension"),
        ("zh", "我们用 for loop 遍历 list，然后 append 每个 element 到 result。"),
        ("ja", "Python の list comprehension を使うと loop が短く書けます。"),
        ("ko", "리스트 comprehension을 사용하면 for loop를 짧게 쓸 수 있습니다."),
        ("ru", "В Python используйте list comprehension вместо for loop и append."),
        ("ar", "استخدم list comprehension في Python بدلا من for loop"),
        ("hi", "Python में list comprehension का उपयोग करें और for loop से बचें।"),
        ("th", "ใช้ list comprehension ใน Python แทน for loop"),
    ],
)
def test_technical_words_in_latin_leave_a_text_in_its_language(language, text):
    assert is_in_language(text, language) is True
    assert is_in_language(text, "en") is False
    assert identify(text)[0] == language


def test_a_foreign_word_that_an_english_text_names_leaves_it_english():
    assert is_in_language("The word 苹果 means apple in Chinese and it is a fruit.", "en") is True
    assert is_in_language("The word 苹果 means apple in Chinese and it is a fruit.", "zh") is False
