import pytest

from nbest.text.language_tags import closest_tag, fallbacks


@pytest.mark.parametrize(
    ("tag", "chain"),
    [
        ("pt-BR", ("pt-br", "pt")),
        ("pt_BR", ("pt-br", "pt")),
        ("zh", ("zh",)),
        ("zh_CN", ("zh-cn", "zh-hans", "zh")),
        ("zh-TW", ("zh-tw", "zh-hant", "zh")),
        ("zh-Hant-HK", ("zh-hant-hk", "zh-hant", "zh")),
        ("zh-Hans-TW", ("zh-hans-tw", "zh-hans", "zh")),
        ("ar-EG", ("ar-eg", "ar")),
        ("sr-ME", ("sr-me", "sr-latn", "sr")),
        ("es-419", ("es-419", "es")),
        ("fil", ("fil",)),
        (None, ()),
        ("", ()),
        ("-", ()),
    ],
)
def test_a_tag_falls_back_on_less_and_less(tag, chain):
    assert fallbacks(tag) == chain


@pytest.mark.parametrize(
    ("tag", "known", "closest"),
    [
        ("pt-BR", ["pt", "pt_BR", "es"], "pt_BR"),
        ("pt-BR", ["es", "pt"], "pt"),
        ("pt", ["pt-BR"], None),
        ("pt-PT", ["pt-BR"], None),
        ("zh_TW", ["zh", "zh-Hant"], "zh-Hant"),
        ("zh-CN", ["zh-Hant", "zh"], "zh"),
        ("zh-Hant", ["zh-TW"], None),
        ("ZH", ["zh"], "zh"),
        ("hi-IN", ["hi"], "hi"),
        (None, ["en"], None),
        ("ja", [], None),
    ],
)
def test_the_closest_of_those_that_are_known(tag, known, closest):
    assert closest_tag(tag, known) == closest
