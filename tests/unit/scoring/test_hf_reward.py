"""Tiny random classifiers made here, where the extra is installed; the missing extra everywhere."""

import asyncio
import sys
import time

import pytest

from nbest import registry
from nbest.context import Context
from nbest.errors import EngineError, InputError, MissingExtraError, SpecError
from nbest.scoring.hf_model import HfModel, loaded
from nbest.scoring.hf_prm import HfPrm
from nbest.scoring.hf_reward import HfReward
from nbest.types import Budget, Candidate, Message, Prompt

PROMPT = Prompt(
    id="p", messages=(Message(role="system", content="s"), Message(role="user", content="三 加 四"))
)
POOL = [Candidate(id=i, text=t) for i, t in enumerate(["七", "七 七 七", "八", "", "四 三"])]
TEMPLATE = "{% for m in messages %}{% if m.content == '八' %}{{ raise_exception('no eights') }}{% endif %}<{{ m.role }}> {{ m.content }} {% endfor %}"


@pytest.fixture
def make_model(tmp_path):
    torch = pytest.importorskip("torch", reason="the extra `hf` is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    def make(kind, *, labels=1, template=None, unknown="[UNK]"):
        words = ["[UNK]", "[EOS]", "[SEP]", *"三四加七八s<>", "user", "assistant", "system"]
        tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token=unknown))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A [SEP]", pair="$A [SEP] $B:1 [SEP]:1", special_tokens=[("[SEP]", 2)]
        )
        fast = transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="[EOS]", chat_template=template
        )
        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        common = {"vocab_size": len(words), "num_labels": labels, "max_position_embeddings": 64}
        config = getattr(transformers, f"{kind}Config")(**sizes, **common)
        path = tmp_path / kind
        getattr(transformers, f"{kind}ForSequenceClassification")(config).save_pretrained(path)
        fast.save_pretrained(path)
        return str(path)

    yield make
    loaded.cache_clear()


async def values(scorer, pool=POOL, ctx=None):
    return [s.value for s in await scorer(PROMPT, pool, ctx or Context({}))]


async def test_candidates_of_different_prompts_are_read_together(make_model, monkeypatch):
    scorer = HfReward(model=make_model("Bert"), batch=4, device="cpu")
    alone = [await values(scorer, [c]) for c in POOL]
    sizes = []
    run = HfModel._run

    def slow(model, texts):
        sizes.append(len(texts))
        time.sleep(0.2)  # the others ask meanwhile
        return run(model, texts)

    monkeypatch.setattr(HfModel, "_run", slow)
    contexts = [Context({}) for _ in POOL]
    together = await asyncio.gather(
        *(values(scorer, [c], ctx) for c, ctx in zip(POOL, contexts, strict=True))
    )
    assert sum(sizes) == len(POOL)
    assert len(sizes) <= 3  # alone they would be five
    assert together == [pytest.approx(row, abs=1e-5) for row in alone]
    assert all(ctx.meter.usage["verifier"].prompt for ctx in contexts)


async def test_at_the_deadline_there_are_no_scores(make_model, monkeypatch):
    scorer = HfReward(model=make_model("Bert"), device="cpu")
    await values(scorer)
    monkeypatch.setattr(HfModel, "_run", lambda *_: time.sleep(0.3))
    ctx = Context({}, budget=Budget(seconds=0.1))
    assert set(await values(scorer, ctx=ctx)) == {None}
    assert ctx.stopped == "deadline"
    assert "before the deadline" in ctx.notes[0]


@pytest.mark.parametrize("scorer", [HfReward(model="m"), HfPrm(model="m", step_mark="x")])
async def test_a_model_that_loads_is_not_waited_for_beyond_the_deadline(monkeypatch, scorer):
    monkeypatch.setattr("nbest.scoring.hf_model.loaded", lambda *_, **__: time.sleep(1))
    ctx = Context({}, budget=Budget(seconds=0.1))
    assert set(await values(scorer, ctx=ctx)) == {None}
    assert ctx.stopped == "deadline"
    assert "m did not answer before the deadline" in ctx.notes[0]


@pytest.mark.parametrize("kind", ["Bert", "Llama"])
@pytest.mark.parametrize("form", ["pair", "text"])
async def test_a_batch_scores_as_each_text_alone(make_model, kind, form):
    scorer = HfReward(model=make_model(kind), form=form, batch=3, device="cpu")
    together = await values(scorer)
    alone = [(await values(scorer, [c]))[0] for c in POOL]
    assert together == pytest.approx(alone, abs=1e-5)
    assert len(set(together)) == len(POOL)


async def test_the_chat_template_is_used_and_gets_no_second_frame(make_model):
    import torch
    import transformers

    path = make_model("Llama", template="{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    ids = tokenizer("system s user 三 加 四 assistant 七", add_special_tokens=False, return_tensors="pt")
    model.config.pad_token_id = tokenizer.eos_token_id
    with torch.inference_mode():
        expected = model(**ids).logits[0, 0].item()
    ctx = Context({})
    assert await values(HfReward(model=path, device="cpu"), POOL[:1], ctx) == [
        pytest.approx(expected, abs=1e-5)
    ]
    assert ctx.meter.usage["verifier"].prompt == ids["input_ids"].shape[1]


async def test_a_template_that_refuses_is_an_error_of_the_model(make_model):
    with pytest.raises(EngineError, match="no eights"):
        await values(HfReward(model=make_model("Llama", template=TEMPLATE), device="cpu"))


async def test_what_the_tokenizer_refuses_is_an_error_of_the_model(make_model):
    """`tokenizers` raises a bare `Exception`."""
    scorer = HfReward(model=make_model("Bert", unknown="[OTHER]"), device="cpu")
    with pytest.raises(EngineError, match=r"Missing \[UNK\] token"):
        await values(scorer, [Candidate(id=0, text="٧")])


async def test_a_number_that_overflows_is_no_score(make_model):
    import torch
    import transformers

    path = make_model("Bert")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path)
    with torch.no_grad():
        model.get_input_embeddings().weight[6] = torch.nan  # 七
    model.save_pretrained(path)
    ctx = Context({})
    seven, eight = await values(HfReward(model=path, device="cpu"), [POOL[0], POOL[2]], ctx)
    assert seven is None
    assert eight is not None
    assert "1 of 2 candidates overflow" in ctx.notes[0]


async def test_what_is_too_long_is_no_call(make_model):
    ctx = Context({})
    scorer = HfReward(model=make_model("Bert"), device="cpu", max_tokens=2)
    assert await values(scorer, POOL[:2], ctx) == [None, None]
    assert not ctx.meter.usage


async def test_too_long_and_failed_candidates_have_no_score(make_model):
    ctx = Context({})
    pool = [POOL[0], Candidate(id=1, text="七 " * 70), Candidate(id=2, text="", error="HTTP 500")]
    first, long, failed = await values(HfReward(model=make_model("Bert"), device="cpu"), pool, ctx)
    assert first is not None
    assert long is None
    assert failed is None
    assert "1 of 2 candidates are too long" in ctx.notes[0]


async def test_several_classes_need_a_label(make_model):
    path = make_model("Bert", labels=3)
    with pytest.raises(InputError, match="label=2"):
        await values(HfReward(model=path, device="cpu"))
    first, last = [await values(HfReward(model=path, label=k, device="cpu")) for k in (0, 2)]
    assert first != last


async def test_no_such_model(make_model, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot be used as a sequence classifier"):
        await values(HfReward(model=str(tmp_path / "empty")))


async def test_a_model_without_a_trained_head_is_refused(make_model):
    import transformers

    path = make_model("Llama")
    transformers.AutoModelForCausalLM.from_pretrained(path).save_pretrained(path)
    with pytest.raises(InputError, match=r"no trained score\.weight"):
        await values(HfReward(model=path, device="cpu"))


async def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"nbest\[hf\]"):
        await values(HfReward(model="somewhere"))
    assert await values(HfReward(model="somewhere"), []) == []


def test_specs():
    assert registry.parse("scorers", "hf_reward('dir/model', label=1)") == HfReward(
        model="dir/model", label=1
    )
    with pytest.raises(SpecError, match="answer"):
        registry.parse("scorers", "hf_reward(model=m, template='x')")
