"""The parts of the llama.cpp engine that need no model."""

import asyncio
import os
import struct
import subprocess
import sys
import time

import pytest

from nbest import registry
from nbest.accounting.gguf import read_context_length
from nbest.engines.llamacpp.llamacpp import LlamaCpp
from nbest.engines.llamacpp.logprobs import Drawn, Place, _aligned, _logprobs
from nbest.engines.llamacpp.runtime import _call_error
from nbest.errors import InputError, SpecError
from nbest.types import Request, Usage
from scripted import prompt_of


def gguf(path, *keys):
    def string(text):
        return struct.pack("<Q", len(text)) + text.encode()

    body = struct.pack("<4sIQQ", b"GGUF", 3, 0, len(keys))
    for name, kind, value in keys:
        body += string(name) + struct.pack("<I", kind)
        if kind == 8:
            body += string(value)
        elif kind == 9:
            body += struct.pack("<IQ", 8, len(value)) + b"".join(map(string, value))
        else:
            body += struct.pack("<I", value)
    path.write_bytes(body)
    return path


def prompt():
    return Request(prompt=prompt_of("?"))


class TestSpecs:
    @pytest.mark.parametrize(
        ("spec", "model", "slots"),
        [
            ("llamacpp", None, 16),
            ("llamacpp:models/x.gguf", "models/x.gguf", 16),
            ('llamacpp(model="x.gguf", slots=32, threads=1)', "x.gguf", 32),
        ],
    )
    def test_they_name_an_engine(self, spec, model, slots):
        engine = registry.parse("engines", spec)
        assert (engine.model, engine.slots) == (model, slots)
        assert registry.parse("engines", registry.spec_of(engine)) == engine

    def test_a_running_engine_equals_one_at_rest(self):
        assert LlamaCpp(model="x.gguf") == LlamaCpp(model="x.gguf")
        assert "_live" not in repr(LlamaCpp())
        assert hash(LlamaCpp()) == hash(LlamaCpp())

    @pytest.mark.parametrize("wrong", ["slots=0", "threads=0", "context=1", "spare=-1"])
    def test_values_that_make_no_sense_are_refused(self, wrong):
        with pytest.raises(SpecError, match=r"must be at least|must not be negative"):
            registry.parse("engines", f"llamacpp({wrong})")

    def test_the_name_is_engine_and_model(self):
        assert LlamaCpp().name == "llamacpp/nbest-mini"
        assert LlamaCpp(model="/models/Tiny-1B.Q8_0.gguf").name == "llamacpp/Tiny-1B.Q8_0"


class TestSpareSlots:
    def test_a_small_model_has_as_many_as_slots_and_a_large_one_none(self, tmp_path):
        assert LlamaCpp(slots=5).config().spare == 5
        large = gguf(tmp_path / "x.gguf", ("general.architecture", 8, "llama"))
        os.truncate(large, 2**28)
        assert LlamaCpp(model=str(large)).config().spare == 0
        assert LlamaCpp(model=str(large), spare=3).config().spare == 3

    def test_what_is_deterministic_reads_no_cache(self):
        assert LlamaCpp(deterministic=True, spare=4).config().spare == 0


class TestModelFiles:
    def test_the_context_length_is_read_past_other_keys(self, tmp_path):
        keys = [("general.name", 8, "x"), ("tags", 9, ["a", "bc"]), ("llama.context_length", 4, 512)]
        assert read_context_length(gguf(tmp_path / "a.gguf", *keys)) == 512

    def test_a_file_need_not_say(self, tmp_path):
        assert read_context_length(gguf(tmp_path / "a.gguf", ("general.name", 8, "x"))) is None

    @pytest.mark.parametrize(
        "content", [b"", b"GGUF", b"<!doctype html>" * 9, b"GGUF\3\0\0\0" + b"\xff" * 40]
    )
    def test_damaged_files_are_an_input_error_of_one_line(self, tmp_path, content):
        (tmp_path / "a.gguf").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.gguf: damaged or no GGUF model$"):
            read_context_length(tmp_path / "a.gguf")

    @pytest.mark.parametrize("name", ["missing.gguf", "."])
    def test_missing_files_are_an_input_error_at_first_use(self, tmp_path, name):
        engine = LlamaCpp(model=str(tmp_path / name))
        with pytest.raises(InputError, match="a GGUF model is expected"):
            asyncio.run(engine.generate(prompt()))
        asyncio.run(engine.aclose())

    def test_a_header_without_a_model_is_an_input_error(self, tmp_path):
        path = gguf(tmp_path / "a.gguf", ("general.architecture", 8, "llama"))
        engine = LlamaCpp(model=str(path))
        with pytest.raises(InputError, match=r"a\.gguf: llama\.cpp cannot load this model"):
            asyncio.run(engine.generate(prompt()))

    def test_an_engine_that_was_never_used_can_be_closed(self):
        asyncio.run(LlamaCpp().aclose())


def place(id_, token="x", logprob=-1.0, **more):
    return Place(id=id_, token=token, logprob=logprob, **more)


class TestLogprobs:
    def test_places_are_found_by_their_last_token(self):
        places = [place(7), place(9)]
        assert _aligned([5, 6, 7, 8, 9], places) == {2: places[0], 4: places[1]}

    def test_an_uncertain_place_is_left_to_be_asked_for(self):
        """Token 4 begins the character and ends it: which of the two was named?"""
        places = [place(4), place(9)]
        assert _aligned([4, 4, 9], places) == {2: places[1]}

    def test_halves_of_characters_are_written_as_bytes(self):
        shown = _logprobs([place(1, "\ufffd", bytes=[0xE4, 0xBD]), place(2, "é")], 0)
        assert shown.tokens == ("bytes:\\xe4\\xbd", "é")

    def test_rounding_never_makes_a_probability_above_one(self):
        assert _logprobs([place(1, logprob=1e-9)], 0).values == (0.0,)

    def test_the_prompt_is_charged_to_the_first_draw(self):
        drawn = Drawn(content="", tokens_predicted=3, tokens_evaluated=9, stop_type="eos", num_cached=4)
        assert drawn.usage(is_first=True) == Usage(prompt=9, cached=4, completion=3, calls=1)
        assert drawn.usage(is_first=False) == Usage(completion=3)


class TestRefusals:
    def test_a_prompt_that_is_too_long_names_the_numbers_and_the_parameter(self):
        said = (
            b'{"error": {"code": 400, "message": "", "type": "exceed_context_size_error",'
            b' "n_prompt_tokens": 401, "n_ctx": 256}}'
        )
        message = str(_call_error(said))
        assert "401" in message
        assert "256" in message
        assert "context=" in message

    def test_other_refusals_keep_their_words(self):
        assert "temperature" in str(_call_error(b'{"error": {"message": "temperature is odd"}}'))


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="needs a system that pins processes to a core"
)
def test_an_engine_that_drew_nothing_closes():
    """On a core that somebody else keeps busy the thread that draws begins late; freed before it had begun,
    llama.cpp never ended."""
    code = (
        "import os, subprocess, sys\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "busy = subprocess.Popen([sys.executable, '-c', 'import time\\nwhile time.time() < %f: pass'])\n"
        "from nbest.engines.llamacpp.llamacpp import LlamaCpp\n"
        "from nbest.engines.llamacpp.runtime import LlamaServer\n"
        "for _ in range(15): LlamaServer(LlamaCpp(slots=1).config()).close()\n"
        "busy.kill()\n"
    )
    subprocess.run([sys.executable, "-c", code % (time.time() + 60)], check=True, timeout=60)
