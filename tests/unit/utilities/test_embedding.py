"""Embeddings from a real local server, from llama.cpp, and from tiny models made here."""

import asyncio
import json
from contextlib import asynccontextmanager
from importlib.resources import files

import numpy as np
import pytest
from aiohttp import web

from nbest import registry
from nbest.context import Context
from nbest.errors import EngineError, InputError, MissingExtraError, SpecError
from nbest.selection.mbr import Mbr
from nbest.selection.xmbr import Xmbr
from nbest.types import Candidate
from nbest.utilities.embedding import Embedding
from scripted import prompt_of

DIRECTIONS = {"Paris": [3, 0], "巴黎": [1, 0], "Rom": [0, 2], "Mailand": [-1, 5], "باريس": [4, 1]}
PROMPT = prompt_of("Hauptstadt?", "de")


@asynccontextmanager
async def embedding_server(reply=None, status=200):
    """OpenAI's /v1/embeddings over `DIRECTIONS`; rows come in the reverse order, as they may."""
    calls = []

    async def answer(request):
        body = await request.json()
        calls.append((body, request.headers.get("Authorization")))
        if reply is not None:
            return web.json_response(reply, status=status)
        rows = [
            {"object": "embedding", "index": i, "embedding": DIRECTIONS[t]}
            for i, t in enumerate(body["input"])
        ]
        usage = {"prompt_tokens": 3 * len(rows), "total_tokens": 3 * len(rows)}
        return web.json_response({"object": "list", "data": rows[::-1], "model": "m", "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/embeddings", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}", calls
    finally:
        await runner.cleanup()


def cosine(a, b):
    a, b = np.array(DIRECTIONS[a]), np.array(DIRECTIONS[b])
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


class TestServer:
    async def test_it_is_the_cosine_of_every_pair(self):
        hypotheses, references = ["Paris", "Rom"], ["巴黎", "Mailand", "Paris"]
        async with embedding_server() as (url, _):
            matrix = await Embedding(url=url, model="m")(hypotheses, references, Context({}))
        assert np.allclose(matrix, [[cosine(h, r) for r in references] for h in hypotheses])

    async def test_each_distinct_text_is_sent_once_in_batches_and_counted(self):
        ctx = Context({})
        texts = list(DIRECTIONS)
        async with embedding_server() as (url, calls):
            await Embedding(url=url + "/v1", model="m", batch=2)(texts, texts, ctx)
        assert [body["input"] for body, _ in sorted(calls, key=lambda c: texts.index(c[0]["input"][0]))] == [
            texts[:2],
            texts[2:4],
            texts[4:],
        ]
        assert calls[0][0]["model"] == "m"
        assert (ctx.meter.usage["verifier"].prompt, ctx.meter.usage["verifier"].calls) == (15, 3)

    async def test_a_text_without_a_word_is_like_nothing(self):
        async with embedding_server() as (url, calls):
            utility = Embedding(url=url)
            matrix = await utility(["Paris", " \n", ""], ["Paris", ""], Context({}))
            assert np.allclose(matrix, [[1, 0], [0, 0], [0, 0]])
            assert (await utility([""], [""], Context({}))).tolist() == [[0.0]]
            assert [body["input"] for body, _ in calls] == [["Paris"]]

    async def test_the_aggregate_is_the_mean_of_the_row(self):
        texts, weights = list(DIRECTIONS), [1, 2, 1, 0.5, 3]
        async with embedding_server() as (url, _):
            utility = Embedding(url=url)
            matrix = await utility(texts, texts, Context({}))
            means = await utility.aggregate(texts, texts, weights, Context({}))
        assert np.allclose(means, matrix @ np.array(weights) / sum(weights))

    async def test_mbr_and_xmbr_choose_with_it(self):
        pool = [
            Candidate(id=i, text=t, language=lang)
            for i, (t, lang) in enumerate(
                [("Rom", "de"), ("Mailand", "de"), ("Paris", "de"), ("巴黎", "zh"), ("باريس", "ar")]
            )
        ]
        async with embedding_server() as (url, _):
            for mode in ("exact", "aggregate"):
                plain = Mbr(utility=Embedding(url=url), mode=mode)
                assert (await plain(PROMPT, pool[:3], Context({}))).winner.text == "Rom"
            ctx = Context({})
            assert (await Xmbr(utility=Embedding(url=url))(PROMPT, pool, ctx)).winner.text == "Paris"
            assert not ctx.notes

    async def test_the_key_goes_along(self, monkeypatch):
        monkeypatch.setenv("EMBED_KEY", "k-1")
        async with embedding_server() as (url, calls):
            await Embedding(url=url, key_env="EMBED_KEY")(["Rom"], ["Rom"], Context({}))
        assert calls[0][1] == "Bearer k-1"

    @pytest.mark.parametrize(
        ("reply", "status"),
        [
            ({"data": []}, 200),
            ({"data": [{"index": 1, "embedding": [1.0]}]}, 200),
            ({"data": [{"index": 0, "embedding": []}]}, 200),
            ({"error": {"message": "the input is too large to process"}}, 400),
            ({"detail": "no"}, 200),
        ],
    )
    async def test_no_embedding_is_an_error(self, reply, status):
        async with embedding_server(reply, status) as (url, _):
            with pytest.raises(EngineError):
                await Embedding(url=url)(["Rom"], ["Rom"], Context({}))

    def test_connections_close_with_the_event_loop(self):
        async def once():
            async with embedding_server() as (url, _):
                await Embedding(url=url)(["Rom"], ["Rom"], Context({}))

        for _ in range(2):
            asyncio.run(once())  # an open connection would be a ResourceWarning


async def test_llama_cpp_serves_embeddings():
    xllamacpp = pytest.importorskip("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(files("nbest").joinpath("data/nbest-mini.gguf"))
    params.embedding, params.n_parallel, params.n_ctx, params.n_gpu_layers = True, 1, 512, 0
    params.cpuparams.n_threads = 1
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    ctx = Context({})
    matrix = await Embedding(url=server.listening_address)(["三个苹果", "3 яблока"], ["三个苹果", ""], ctx)
    assert np.allclose(matrix[:, 0], [1, matrix[1, 0]], atol=1e-4)
    assert -1 < matrix[1, 0] < 0.999
    assert ctx.meter.usage["verifier"].prompt > 0
    del server


def tiny_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {w: i for i, w in enumerate(["[UNK]", "[PAD]", "ein", "rotes", "Haus", "red", "house", "红"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(pad_id=1, length=32)
    return tokenizer, len(words)


class TestOnnx:
    @pytest.fixture
    def directory(self, tmp_path):
        """A model that looks each token up in a random table."""
        pytest.importorskip("onnxruntime", reason="the extra `embeddings` is not installed")
        onnx = pytest.importorskip("onnx", reason="onnx makes the tiny model of this test")
        tokenizer, size = tiny_tokenizer()
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        table = np.random.default_rng(0).normal(size=(size, 4)).astype(np.float32)
        kinds, helper = onnx.TensorProto, onnx.helper
        inputs = [
            helper.make_tensor_value_info(n, kinds.INT64, ["n", "t"]) for n in ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info("last_hidden_state", kinds.FLOAT, ["n", "t", 4])
        graph = helper.make_graph(
            [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
            "tiny",
            inputs,
            [output],
            [onnx.numpy_helper.from_array(table, "table")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, str(tmp_path / "model.onnx"))
        return tmp_path, table

    async def test_mean_of_the_tokens_that_are_there(self, directory):
        path, table = directory
        matrix = await Embedding(onnx=str(path), batch=2)(
            ["ein Haus", "red"], ["rotes Haus", "ein", "红"], Context({})
        )
        means = {"ein Haus": [2, 4], "red": [5], "rotes Haus": [3, 4], "ein": [2], "红": [7]}
        rows = {t: table[ids].mean(axis=0) for t, ids in means.items()}
        rows = {t: r / np.linalg.norm(r) for t, r in rows.items()}
        expected = [[rows[h] @ rows[r] for r in ("rotes Haus", "ein", "红")] for h in ("ein Haus", "red")]
        assert np.allclose(matrix, expected, atol=1e-6)

    @pytest.mark.parametrize(("pooling", "place"), [("cls", 0), ("last", 2)])
    async def test_the_models_own_files_say_how_to_pool(self, directory, pooling, place):
        path, table = directory
        (path / "1_Pooling").mkdir()
        key = {"cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}[pooling]
        (path / "1_Pooling" / "config.json").write_text(json.dumps({key: True}), encoding="utf-8")
        a, b = table[[2, 3, 4][place]], table[5]
        expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        for utility in (Embedding(onnx=str(path)), Embedding(onnx=str(path), pooling=pooling)):
            matrix = await utility(["ein rotes Haus"], ["red"], Context({}))
            assert np.allclose(matrix, expected, atol=1e-6)

    async def test_a_directory_that_is_no_model(self, directory, tmp_path):
        with pytest.raises(InputError, match=r"must hold model\.onnx"):
            await Embedding(onnx=str(tmp_path / "other"))(["a"], ["a"], Context({}))
        (tmp_path / "model.onnx").write_bytes(b"no model")
        with pytest.raises(InputError, match="cannot be used"):
            await Embedding(onnx=str(tmp_path), pooling="mean")(["a"], ["a"], Context({}))


async def test_sentence_transformers(tmp_path):
    pytest.importorskip("sentence_transformers", reason="the extra `sbert` is not installed")
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer, size = tiny_tokenizer()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")
    wrapped.save_pretrained(tmp_path / "bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(tmp_path / "bert")
    made = SentenceTransformer(str(tmp_path / "bert"), device="cpu")  # mean pooling where none is saved
    made.save(str(tmp_path / "made"))
    texts = ["ein rotes Haus", "red house", "红"]
    matrix = await Embedding(sbert=str(tmp_path / "made"))(texts, texts, Context({}))
    rows = made.encode(texts, normalize_embeddings=True)
    assert np.allclose(matrix, rows @ rows.T, atol=1e-5)


@pytest.mark.parametrize(("spec", "extra"), [("onnx", "embeddings"), ("sbert", "sbert")])
async def test_a_missing_extra_is_named(spec, extra, monkeypatch):
    for module in ("onnxruntime", "sentence_transformers"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"nbest\[{extra}\]"):
        await registry.parse("utilities", f"embedding({spec}='nowhere/{spec}')")(["a"], ["a"], Context({}))


@pytest.mark.parametrize(
    "spec", ["embedding", "embedding(url='http://h', onnx='d')", "embedding(onnx='d', batch=0)"]
)
def test_what_cannot_be_meant_is_said(spec):
    with pytest.raises(SpecError):
        registry.parse("utilities", spec)
