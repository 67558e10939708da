"""The answer of a sentence in words: its first clause, its predicate, the letter of an option."""

from __future__ import annotations

from typing import Final

import regex

from nbest.text.answer import Answer
from nbest.text.answer_words import Convention, choice_readings
from nbest.text.normalise import bare, same_length_casefold
from nbest.text.readers import clean_reading
from nbest.text.spelling import respelled, text_key

MAX_SHORT_CHARS: Final = 100
"""A text or marked line up to this length may be an answer in words."""
_MAX_PREDICATE_WORDS: Final = 6
_MAX_LAST_WORDS: Final = 3
_MIN_VERDICT_CHARS: Final = 4

_SENTENCE_END = regex.compile(r"[.!?](?=\s|$|\p{Lo})|[。！？।؟]|\s\(|[,，،;](?=\s)")
_FULL_STOPS: Final = "。！？।؟.!?"
_BEFORE_LAST_SENTENCE = regex.compile(r"(?<=\p{Ll}{3})[.]\s|[。！？।؟]\s?(?=\S)")
_REASON = regex.compile(
    r",?\s(?:because|since|as\s|weil|da\s|denn|car\s|parce que|puisque|porque|ya que|pois|perché|poiché|потому что|так как"
    r"|тому що|бо\s|لأن|زیرا|چون|"
    r"क्योंकि|কারণ|ఎందుకంటే|karena|sebab|vì\s|bởi vì|çünkü|omdat|ponieważ|bo\s|protože|deoarece|pentru că|διότι|γιατί|επειδή|כי\s|kwa sababu)|[,，]?\s?(?:因为|因為|なぜなら|เพราะ|왜냐하면)"
)
_TOPIC = regex.compile(
    r"(?:は|が|は、)([^はが。]{1,40}(?:です|だ|である|でした)[。\s]*$)|(?:是|为|為)([^是为。]{1,30})[。\s]*$"
)
_ARTICLE = regex.compile(
    r"^(?:the|an?|le|la|les|l'|el|los|las|il|lo|der|die|das|o|os|as|το|η|ο|τα|het|de)\s+(?=\S)",
    regex.IGNORECASE,
)
_LETTER_ALONE = regex.compile(
    r"(?<![\p{L}\p{M}\p{N}'’])[(]?(\p{Lu}|\p{Lo}\p{M}?)[)]?(?![\p{L}\p{M}\p{N}'’]|[.]\p{L})"
    r"|(?<![\p{Latin}\p{N}])[(]?([A-Z])[)]?(?=[\p{Han}\p{Hiragana}\p{Hangul}])"
)
_LETTERS_THAT_ARE_WORDS: Final = frozenset("AIOEYΗОИАВС")
"""At the start of a sentence: articles, pronouns, conjunctions."""
_COPULAS_BEHIND: Final = ("is ", "ist", "es ", "est")


def first_clause(clean: str, conv: Convention) -> Answer | None:
    """`42. Because …`, `18 dollars (9 × 2)`, `C because …`: an answer that goes before its reasons."""
    reason = _REASON.search(clean, 0, 2 * MAX_SHORT_CHARS)
    answer = clean_reading(bare(clean[: reason.start()]), conv) if reason else None
    if answer:
        return answer

    end = _SENTENCE_END.search(clean, 0, MAX_SHORT_CHARS)
    if end is None:
        return None
    clause = clean[: end.start()]
    answer = clean_reading(bare(clause), conv)
    if answer is None and end[0].strip() in _FULL_STOPS:
        answer = clean_reading(without_copula(clause, conv), conv)
    is_short = answer is not None and answer.kind in {"number", "choice", "verdict"}
    return answer if is_short else None


def without_copula(clean: str, conv: Convention) -> str:
    """`clean` without the copula that some languages put at the end, and the quotes around the rest."""
    found = conv.ends_with_copula.search(clean)
    if found and found.start() > 0:
        clean = clean[: found.start()]
    return bare(clean)


def without_article(phrase: str) -> str:
    """`phrase` without an article before it."""
    return _ARTICLE.sub("", phrase)


def last_sentence(text: str) -> str:
    """The last sentence of a line."""
    return _BEFORE_LAST_SENTENCE.split(text)[-1]


def lone_choice(sentence: str, conv: Convention) -> Answer | None:
    """The one letter of a sentence on options: "Option B is correct", "Bが正解です"."""
    if len(sentence) > MAX_SHORT_CHARS or not _speaks_of_options(sentence, conv):
        return None
    found = [m for m in _LETTER_ALONE.finditer(sentence) if not _is_word(m, sentence)]
    letters = [m[1] or m[2] for m in found if (m[1] or m[2]) in choice_readings()]
    return clean_reading(letters[0], conv) if len(letters) == 1 else None


def _speaks_of_options(sentence: str, conv: Convention) -> bool:
    key = respelled(sentence)
    words_for_right = [word for word, verdict in conv.verdicts.items() if verdict == "yes"]
    says_right = any(word in key for word in words_for_right if len(word) >= _MIN_VERDICT_CHARS)
    return says_right or any(m in key for m in conv.markers) or conv.options.search(key) is not None


def _is_word(match: regex.Match[str], sentence: str) -> bool:
    """Whether a letter that begins a sentence is a word: "A", Greek "Η", Russian "В"."""
    begins = match.start() == 0 and sentence[1:2] == " " and match[1] in _LETTERS_THAT_ARE_WORDS
    return begins and not sentence[2:].startswith(_COPULAS_BEHIND)


def predicate(sentence: str, conv: Convention) -> Answer | None:
    """What a sentence without digits says of its subject ("Paris" of "The capital of France is Paris."), in words.

    Its readings are the predicate, then the whole sentence. Where the copula ends the sentence, each of its
    last words up to three may be the predicate. None where no copula is known, or the sentence is long.
    """
    clean = bare(sentence)
    if not clean or len(clean) > 2 * MAX_SHORT_CHARS:
        return None
    parts = _behind_copula(clean, conv) or _behind_topic(clean, conv) or _before_copula(clean, conv)
    if not parts:
        return None
    every = [*parts, without_article(parts[0]), clean]
    readings = tuple(dict.fromkeys(text_key(p) for p in every if any(c.isalnum() for c in p)))
    if not readings:
        return None
    return Answer(text=bare(parts[0]), kind="text", readings=readings)


def _behind_copula(clean: str, conv: Convention) -> list[str]:
    found = list(conv.copulas.finditer(same_length_casefold(clean)))
    if not found:
        return []
    behind = clean[found[-1].end() :]
    return [behind] if 0 < len(behind.split()) <= _MAX_PREDICATE_WORDS else []


def _behind_topic(clean: str, conv: Convention) -> list[str]:
    match = _TOPIC.search(clean)
    if match is None:
        return []
    return [without_copula(match[1] or match[2], conv)]


def _before_copula(clean: str, conv: Convention) -> list[str]:
    end = conv.ends_with_copula.search(clean)
    if end is None:
        return []
    words = clean[: end.start()].split()
    return [" ".join(words[-n:]) for n in range(1, min(_MAX_LAST_WORDS, len(words)) + 1)]
