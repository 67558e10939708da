import json
import re
import sys
from types import SimpleNamespace

import pytest

from nbest import registry
from nbest.errors import InputError, MissingExtraError, SpecError
from nbest.tasks import items_of
from nbest.tasks.arena_hard import LANGUAGES as AYA_LANGUAGES
from nbest.tasks.instructions import languages_of, template
from nbest.tasks.wmt24pp import locales
from nbest.text import equivalent, extract_marked
from shared_data import MGSM_LANGUAGES, mgsm, path_of


def write(path, rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("language", languages_of("math"))
def test_an_answer_in_the_form_that_the_instruction_names_is_found(language):
    instruction = template("math", language).partition("\n\n")[0]
    marker = max(instruction.replace("：", ":").split(":")[-2].split("«")[-1].split("“")[-1].split("„")[-1]
                 .split('"')[-1].split("「")[-1].split("\n"), key=len)  # fmt: skip
    colon = "：" if "：" in instruction else ":"
    answer = extract_marked(f"{'…' * 20} 12\n{marker.strip()}{colon} 42", language=language)
    assert answer is not None
    assert answer.key == "42"


def test_there_are_instructions_for_every_language_of_mgsm_and_of_aya():
    assert {*MGSM_LANGUAGES, *AYA_LANGUAGES} <= set(languages_of("math"))
    assert all("{{question}}" in template("math", language) for language in languages_of("math"))


def test_mgsm_is_the_same_250_problems_in_11_languages():
    items = items_of(f"mgsm(path='{path_of('mgsm')}')")
    assert len(items) == 2750
    assert len({i.prompt.id for i in items}) == 2750
    assert {i.prompt.language for i in items} == set(MGSM_LANGUAGES)
    assert len({i.gold["cluster"] for i in items}) == 250
    by_cluster = {}
    for item in items:
        by_cluster.setdefault(item.gold["cluster"], set()).add(item.prompt.language)
    assert all(len(languages) == 11 for languages in by_cluster.values())


def test_mgsm_keeps_questions_as_they_are():
    item = items_of(f"mgsm(path='{path_of('mgsm')}', languages=[te])")[7]
    question, gold = mgsm("te")[7]
    assert item.prompt.text.endswith(question)
    assert equivalent(item.gold["answer"], gold)


def test_mgsm_reads_any_file_of_its_schema(tmp_path):
    (tmp_path / "mgsm_th.tsv").write_text('"สอง" บวกสอง?\t4\n', encoding="utf-8")
    write(tmp_path / "mgsm_zh.jsonl", [{"question": "二加二？", "answer": None, "answer_number": 4}])
    items = items_of(f"mgsm(path='{tmp_path}', languages=[th, zh])")
    assert [i.gold["answer"] for i in items] == ["4", "4"]
    assert items[0].prompt.text.endswith('"สอง" บวกสอง?')


def test_a_template_of_ones_own(tmp_path):
    (tmp_path / "mgsm_th.tsv").write_text("{{question}} ก\t4\n", encoding="utf-8")
    (tmp_path / "mine.txt").write_text("ตอบ: {{question}}!", encoding="utf-8")
    (item,) = items_of(f"mgsm(path='{tmp_path}', languages=[th], template='{tmp_path / 'mine.txt'}')")
    assert item.prompt.text == "ตอบ: {{question}} ก!"
    (tmp_path / "mine.txt").write_text("no place", encoding="utf-8")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none of mgsm_sw\.jsonl"):
        items_of(f"mgsm(path='{tmp_path}', languages=[sw])")
    with pytest.raises(InputError, match="no such file or directory"):
        items_of(f"mgsm(path='{tmp_path / 'x'}')")
    (tmp_path / "mgsm_sw.tsv").write_text("one\ttwo\tthree\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 1: 3 columns, not 2"):
        items_of(f"mgsm(path='{tmp_path}', languages=[sw])")
    (tmp_path / "mgsm_xx.tsv").write_text("a\t1\n", encoding="utf-8")
    with pytest.raises(InputError, match="no 'math' template in 'xx'"):
        items_of(f"mgsm(path='{tmp_path}', languages=[xx])")
    with pytest.raises(SpecError, match="did you mean 'limit'"):
        items_of("mgsm(limits=3)")


def test_gsm8k_has_its_answer_behind_the_hashes(tmp_path):
    file = write(tmp_path / "test.jsonl", [{"question": "6 × 7?", "answer": "<<6*7=42>>\n#### 1,042"}])
    (item,) = items_of(f"gsm8k(path='{file}')")
    assert item.gold["answer"] == "1,042"
    assert item.prompt.text.endswith("6 × 7?")
    write(file, [{"question": "?", "answer": "42"}])
    with pytest.raises(InputError, match="####"):
        items_of(f"gsm8k(path='{file}')")


def test_math500_keeps_latex(tmp_path):
    row = {"problem": "$x$?", "solution": "…", "answer": r"\frac{1}{2}", "subject": "Algebra", "level": 3,
           "unique_id": "test/algebra/1.json"}  # fmt: skip
    (item,) = items_of(f"math500(path='{write(tmp_path / 'math500.jsonl', [row])}')")
    assert item.prompt.id == "math500/test/algebra/1.json"
    assert item.gold == {"answer": r"\frac{1}{2}", "subject": "Algebra", "level": 3}
    assert r"\boxed{}" in item.prompt.text


def test_wmt24pp_leaves_bad_sources_out_and_clusters_a_segments_translations(tmp_path):
    assert len(locales()) == 55
    for locale, target in (("de_DE", "Hallo."), ("sw_KE", "Habari.")):
        write(tmp_path / f"en-{locale}.jsonl", [
            {"lp": f"en-{locale}", "domain": "canary", "document_id": "c", "segment_id": 0, "is_bad_source": True,
             "source": "CANARY", "target": "x"},
            {"lp": f"en-{locale}", "domain": "news", "document_id": "d", "segment_id": 1, "is_bad_source": False,
             "source": "Hello.", "target": target, "original_target": "y"},
        ])  # fmt: skip
    items = items_of(f"wmt24pp(path='{tmp_path}', locales=[de_DE, sw_KE])")
    assert [i.prompt.language for i in items] == ["de", "sw"]
    assert [i.gold["reference"] for i in items] == ["Hallo.", "Habari."]
    assert {i.gold["cluster"] for i in items} == {"d/1"}
    assert "into Kenyan Swahili" in items[1].prompt.text
    assert registry.load("tasks", "wmt24pp")().score == "reference_oracle(utility=chrf)"


def test_m_arenahard_has_nothing_to_score_by(tmp_path):
    rows = [
        {
            "question_id": "q1",
            "category": "hard_prompt",
            "subcategory": "coding",
            "prompt": "चलो",
            "language": "hi",
        }
    ]
    write(tmp_path / "hi.jsonl", rows)
    (item,) = items_of(f"m_arenahard_v2(path='{tmp_path}', languages=[hi])")
    assert item.gold == {"category": "hard_prompt", "subcategory": "coding", "cluster": "q1"}
    assert item.prompt.messages[0].content == "चलो"
    assert len(registry.load("tasks", "m_arenahard_v2")().languages) == 23


def test_rows_of_ones_own_in_any_format(tmp_path):
    tsv = tmp_path / "fragen.tsv"
    tsv.write_text("frage\tanswer\nWie viel?\t3,5\n", encoding="utf-8")
    (item,) = items_of(f"jsonl(path='{tsv}', columns={{'prompt': 'frage'}}, language=de)")
    assert (item.prompt.text, item.prompt.language, item.prompt.task) == ("Wie viel?", "de", "fragen")
    assert item.gold == {"answer": "3,5"}
    (tmp_path / "a.json").write_text('[{"prompt": "?", "reference": ["a", "b"], "language": "en"}]')
    (item,) = items_of(f"jsonl(path='{tmp_path / 'a.json'}', task=mine)")
    assert item.gold == {"reference": ["a", "b"]}
    with pytest.raises(InputError, match="no column 'frage'"):
        items_of(f"jsonl(path='{tmp_path / 'a.json'}', columns={{'prompt': 'frage'}})")
    write(tmp_path / "b.jsonl", [{"id": "x", "prompt": "1"}, {"id": "x", "prompt": "2"}])
    with pytest.raises(InputError, match="row 2: id 'x'"):
        items_of(f"jsonl(path='{tmp_path / 'b.jsonl'}')")


@pytest.mark.parametrize("spec", ["gsm8k", "math500", "mgsm", "wmt24pp", "m_arenahard_v2"])
def test_the_hub_needs_an_extra(spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"nbest\[datasets\]"):
        items_of(spec)


def test_parquet_needs_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError, match="pyarrow"):
        items_of(f"jsonl(path='{tmp_path / 'a.parquet'}')")


def test_rows_come_from_the_hub_with_names_split_and_revision(monkeypatch):
    asked = []

    class Datasets:
        @staticmethod
        def load_dataset(name, config, *, split, revision):
            asked.append((name, config, split, revision))
            return [{"question_id": "1", "prompt": "?", "question": "?", "answer": "#### 1", "problem": "?",
                     "answer_number": 1, "source": "a", "target": "b"}]  # fmt: skip

    monkeypatch.setitem(sys.modules, "datasets", Datasets)
    for spec in (
        "gsm8k(revision=v1)",
        "math500(revision=v2)",
        "mgsm(languages=[te], revision=v3)",
        "m_arenahard_v2(languages=[fa], revision=v4)",
        "wmt24pp(locales=[fr_CA], revision=v5)",
    ):
        assert len(items_of(spec)) == 1
    assert asked == [
        ("openai/gsm8k", "main", "test", "v1"),
        ("HuggingFaceH4/MATH-500", None, "test", "v2"),
        ("juletxara/mgsm", "te", "test", "v3"),
        ("CohereLabs/m-ArenaHard-v2.0", "fa", "test", "v4"),
        ("google/wmt24pp", "en-fr_CA", "train", "v5"),
    ]
    asked.clear()
    for spec in ("gsm8k", "math500", "mgsm(languages=[te])", "m_arenahard_v2(languages=[fa])", "wmt24pp"):
        items_of(spec)
    assert all(re.fullmatch("[0-9a-f]{40}", revision) for *_, revision in asked), "a commit is no branch"


def test_mgsm_is_the_same_from_the_hub_as_from_its_files(monkeypatch):
    rows = [
        {"question": question, "answer": None, "answer_number": int(gold.replace(",", ""))}
        for question, gold in mgsm("th")
    ]
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=lambda *args, **kwargs: rows))
    from_files = items_of(f"mgsm(path='{path_of('mgsm')}', languages=[th])")
    assert [i.prompt for i in items_of("mgsm(languages=[th])")] == [i.prompt for i in from_files]
    assert all(
        equivalent(str(a.gold["answer"]), str(b.gold["answer"]))
        for a, b in zip(items_of("mgsm(languages=[th])"), from_files, strict=True)
    )


def test_a_commit_that_the_hub_does_not_have_is_named_with_what_to_do(monkeypatch):
    def load_dataset(*args, **kwargs):
        raise FileNotFoundError("Revision Not Found")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(InputError, match=r"juletxara/mgsm \(de, test, revision v0\).*revision=main"):
        items_of("mgsm(languages=[de], revision=v0)")


def test_a_file_wins_over_a_task_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mgsm", [{"prompt": "from the file"}])
    assert items_of("mgsm")[0].prompt.text == "from the file"
