"""Tiny random token classifiers made here, where the extra is installed; the missing extra everywhere."""

import json
import sys
from pathlib import Path

import pytest

from nbest import registry
from nbest.context import Context
from nbest.errors import EngineError, InputError, MissingExtraError, SpecError
from nbest.scoring.hf_model import loaded
from nbest.scoring.hf_prm import HfPrm
from nbest.types import Candidate, Message, Prompt
from scripted import prompt_of

QUESTION = {
    "ar": ("ما ٣ × ٤ ثم + ٥؟", ["٣ × ٤ = ١٢", "١٢ + ٥ = ١٧", "الجواب: ١٧"]),
    "zh": ("三乘四再加五是多少？", ["三乘四等于十二。", "十二加五等于十七。", "答案：十七"]),
    "hi": ("तीन गुणा चार, फिर पाँच जोड़ें।", ["३ × ४ = १२", "१२ + ५ = १७", "उत्तर: १७"]),
    "ja": ("３かける４、足す５は？", ["３×４＝１２です。", "１２＋５＝１７", "答えは１７"]),
    "ru": ("Три на четыре и ещё пять?", ["3 · 4 = 12", "12 + 5 = 17", "Ответ: 17"]),
    "th": ("สามคูณสี่บวกห้าเท่ากับเท่าไร", ["๓ × ๔ = ๑๒", "๑๒ + ๕ = ๑๗", "คำตอบ: ๑๗"]),
}
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}"


def prompt_in(language):
    return Prompt(
        id=language,
        messages=(Message(role="user", content=QUESTION[language][0]),),
        language=language,
    )


@pytest.fixture(scope="module")
def tokenizer():
    transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<eos>", "<extra_0>", "<|user|>", "<|assistant|>", "<|end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=marks,
        show_progress=False,
    )
    bpe.train_from_iterator([t for q, steps in QUESTION.values() for t in (q, *steps)], trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<eos>")


@pytest.fixture
def make_model(tmp_path, tokenizer):
    torch = pytest.importorskip("torch", reason="the extra `hf` is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")

    def make(kind="Qwen2", *, labels=2, template=TEMPLATE, head="TokenClassification", **changed):
        torch.manual_seed(0)
        config = getattr(transformers, f"{kind}Config")(
            vocab_size=len(tokenizer),
            num_labels=labels,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=48,
            max_position_embeddings=256,
            initializer_range=0.5,
            **changed,
        )
        path = tmp_path / "model"
        getattr(transformers, f"{kind}For{head}")(config).save_pretrained(path)
        tokenizer.chat_template = template
        tokenizer.save_pretrained(path)
        return str(path)

    yield make
    loaded.cache_clear()


def own_tokenizer(path):
    """As it comes with the model: for some architectures the library splits words in a way of its own."""
    import transformers

    return transformers.AutoTokenizer.from_pretrained(path)


def direct(path, ids):
    """Logits of one text, T × C, by the model alone."""
    import torch
    import transformers

    model = transformers.AutoModelForTokenClassification.from_pretrained(path).eval()
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0]


def amend(file, **changed):
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


async def scores(scorer, texts, prompt, ctx=None):
    pool = [Candidate(id=i, text=t) for i, t in enumerate(texts)]
    return await scorer(prompt, pool, ctx or Context({}))


@pytest.mark.parametrize("language", QUESTION)
@pytest.mark.parametrize("kind", ["Qwen2", "Llama"])
async def test_steps_are_worth_what_the_model_says_at_their_marks(make_model, language, kind):
    """As Qwen2.5-Math-PRM's card does it: the whole conversation tokenised, softmax where the mark is."""
    path = make_model(kind)
    tokenizer = own_tokenizer(path)
    question, steps = QUESTION[language]
    texts = ["\n".join(steps[:n]) for n in (1, 2, 3)]
    said = f"<|user|>{question}<|end|>\n<|assistant|>{{}}<|end|>\n"
    ctx = Context({})
    found = await scores(
        HfPrm(model=path, step_mark="<extra_0>", batch=2, device="cpu"), texts, prompt_in(language), ctx
    )
    num_tokens = 0
    for score, text in zip(found, texts, strict=True):
        ids = tokenizer(said.format("".join(f"{s}<extra_0>" for s in text.splitlines())))["input_ids"]
        places = [i for i, t in enumerate(ids) if t == tokenizer.convert_tokens_to_ids("<extra_0>")]
        expected = direct(path, ids).softmax(-1)[places, 1].tolist()
        assert score.steps == pytest.approx(expected, abs=1e-5)
        assert score.value == score.steps[-1]
        num_tokens += len(ids)
    assert len({s.value for s in found}) == len(texts)
    assert ctx.meter.usage["verifier"].prompt == num_tokens


@pytest.mark.parametrize("language", QUESTION)
async def test_one_class_is_squashed_and_a_line_break_is_a_mark(make_model, language):
    """As TRL and Skywork tokenise: question, steps and separators apart; sigmoid of the only class."""
    path = make_model(labels=1, template=None)
    tokenizer = own_tokenizer(path)
    question, steps = QUESTION[language]
    ids, places = tokenizer(f"{question}\n")["input_ids"], []
    for step in steps:
        ids = ids + tokenizer(step)["input_ids"] + tokenizer("\n")["input_ids"]
        places.append(len(ids) - 1)
    expected = direct(path, ids).sigmoid()[places, 0].tolist()
    scorer = HfPrm(model=path, step_mark="\n", template="{prompt}\n{answer}", device="cpu", reduce="min")
    [score] = await scores(scorer, ["\n\n".join(steps) + "\n"], prompt_in(language))
    assert score.steps == pytest.approx(expected, abs=1e-5)
    assert score.value == min(score.steps)


async def test_a_beginning_of_sequence_token_comes_first(make_model, tokenizer):
    path = make_model("Llama", template=None)
    amend(Path(path, "tokenizer_config.json"), bos_token="<eos>")
    ids = [tokenizer.eos_token_id, *tokenizer("q\n\n")["input_ids"], *tokenizer("a<extra_0>")["input_ids"]]
    [score] = await scores(
        HfPrm(model=path, step_mark="<extra_0>", device="cpu"),
        ["a"],
        prompt_of("q"),
    )
    assert score.value == pytest.approx(direct(path, ids).softmax(-1)[-1, 1].item(), abs=1e-5)


async def test_what_is_too_long_is_not_cut(make_model):
    ctx = Context({})
    path = make_model()
    texts = ["三乘四等于十二。\n" * n for n in (2, 60)]
    short, long = await scores(
        HfPrm(model=path, step_mark="<extra_0>", device="cpu"), texts, prompt_in("zh"), ctx
    )
    assert len(short.steps) == 2
    assert long.value is None
    assert long.steps == ()
    assert "1 of 2 candidates are too long" in ctx.notes[0]


async def test_failed_and_empty_candidates_have_no_score(make_model):
    scorer = HfPrm(model=make_model(), step_mark="<extra_0>", device="cpu")
    pool = [
        Candidate(id=0, text="", error="HTTP 500"),
        Candidate(id=1, text=" \n"),
        Candidate(id=2, text="七"),
    ]
    found = await scorer(prompt_in("zh"), pool, Context({}))
    assert [s.value is None for s in found] == [True, True, False]


async def test_more_than_two_classes_need_a_label(make_model):
    path = make_model(labels=3)
    with pytest.raises(InputError, match="label=2"):
        await scores(HfPrm(model=path, step_mark="<extra_0>", device="cpu"), ["七"], prompt_in("zh"))
    each = [
        (await scores(HfPrm(model=path, step_mark="<extra_0>", label=k), ["七"], prompt_in("zh")))[0].value
        for k in range(3)
    ]
    assert sum(each) == pytest.approx(1, abs=1e-5)


async def test_a_model_that_classifies_no_tokens_is_refused(make_model):
    path = make_model(head="CausalLM")
    with pytest.raises(InputError, match="no trained score"):
        await scores(HfPrm(model=path, step_mark="<extra_0>"), ["七"], prompt_in("zh"))


async def test_a_template_without_the_answer_is_refused(make_model):
    path = make_model(template="{{ messages[0].content }}")
    with pytest.raises(EngineError, match="leaves the answer out"):
        await scores(HfPrm(model=path, step_mark="<extra_0>"), ["七"], prompt_in("zh"))


async def test_what_the_tokenizer_refuses_is_an_error_of_the_model(make_model):
    scorer = HfPrm(model=make_model(), step_mark="<extra_0>", device="cpu")
    with pytest.raises(EngineError, match="TypeError"):
        await scores(scorer, ["\ud800"], prompt_in("zh"))


async def test_code_that_comes_with_a_model_runs_when_it_is_told_to(make_model, monkeypatch, tmp_path):
    """Qwen2.5-Math-PRM has a head of two layers, in a class of its own, under the name AutoModel."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    path = Path(make_model())
    (path / "own.py").write_text(
        "from transformers import Qwen2ForTokenClassification\n\n\n"
        "class Own(Qwen2ForTokenClassification):\n"
        "    def forward(self, *args, **kwargs):\n"
        "        found = super().forward(*args, **kwargs)\n"
        "        found.logits = -found.logits\n"
        "        return found\n"
    )
    scorer = HfPrm(model=str(path), step_mark="<extra_0>", device="cpu")
    [own] = await scores(scorer, ["七"], prompt_in("zh"))
    amend(path / "config.json", auto_map={"AutoModel": "own.Own"})
    trusting = HfPrm(model=str(path), step_mark="<extra_0>", device="cpu", remote_code=True)
    [other] = await scores(trusting, ["七"], prompt_in("zh"))
    assert other.value == pytest.approx(1 - own.value, abs=1e-5)


async def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"nbest\[hf\]"):
        await scores(HfPrm(model="somewhere", step_mark="\n"), ["七"], prompt_in("zh"))
    assert await scores(HfPrm(model="somewhere", step_mark="\n"), [], prompt_in("zh")) == []


def test_specs():
    assert registry.parse("scorers", "hf_prm('dir/model', step_mark='<extra_0>')") == HfPrm(
        model="dir/model", step_mark="<extra_0>"
    )
    for wrong, says in (
        ("hf_prm(model=m)", "step_mark=…"),
        ("hf_prm(model=m, step_mark='')", "must not be empty"),
        ("hf_prm(model=m, step_mark=x, template=y)", "answer"),
        ("hf_prm(model=m, step_mark=x, batch=0)", "batch"),
    ):
        with pytest.raises(SpecError, match=says):
            registry.parse("scorers", wrong)
