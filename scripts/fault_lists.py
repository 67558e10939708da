"""Faults to be planted: lists that were chosen without a look at the tests. See `planted_faults.py`."""

from __future__ import annotations

from typing import Final, NamedTuple


class Fault(NamedTuple):
    """A change of one place in one file of src/nbest, and the tests that should notice it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _tests(*paths: str) -> tuple[str, ...]:
    return tuple(f"tests/{path}" for path in paths)


SELECTORS = _tests("unit/selection", "unit/strategies", "laws/test_selectors.py")
JUDGING = _tests("unit/judging", "unit/selection", "golden/test_judge_replies.py")
SEARCHES = _tests("laws/test_searches.py", "unit/search", "unit/strategies", "laws/test_strategies.py")
ESTIMATORS = _tests("laws/test_estimators.py", "unit/evaluate", "unit/arena")
BUDGETS = _tests(
    "laws/test_budgets.py",
    "unit/test_budget.py",
    "unit/test_context.py",
    "unit/accounting",
    "laws/test_strategies.py",
)
LAYERS = _tests("unit/engines/layers", "unit/engines/test_replay.py", "contract/test_engines.py")
STREAMS = _tests(
    "laws/test_engine_streams.py",
    "laws/test_gateway_streams.py",
    "laws/test_token_shares.py",
    "unit/engines/test_prefix.py",
    "unit/serve/api",
    "unit/engines/openai",
)
GATEWAY = _tests("unit/serve", "gateway/test_faults.py")
RECORDS = _tests(
    "laws/test_run_directories.py",
    "unit/test_records.py",
    "unit/test_datasets.py",
    "unit/test_run.py",
    "unit/test_resume.py",
)

FIRST: Final = (
    # Selectors.
    Fault("vote: ties share the worst rank in Borda", "selection/vote.py",
          "1 + sum(other > s for other", "sum(other >= s for other", SELECTORS),
    Fault("mbr: pruned forgets how often a text was drawn", "selection/mbr.py",
          "references = list(counts.elements())", "references = list(counts)", SELECTORS),
    Fault("chops: a part leaves no room for the second reply", "selection/chops.py",
          "- 2 * self.max_tokens - most_tokens", "- self.max_tokens - most_tokens", SELECTORS),
    Fault("tree: a lookahead judges the step before, not where it began", "strategies/backup.py",
          "judged = self._judged_by_node.get(node.parent, node.parent)", "judged = node.parent", SELECTORS),
    # Searches.
    Fault("rebase: answers finished twice count once", "search/rebase.py",
          'sum(n.count for n in batch.nodes if n.fate == "finished")',
          'sum(n.fate == "finished" for n in batch.nodes)', SEARCHES),
    Fault("beam: one round too many under lookahead", "search/beam.py",
          "if node.depth < self.rounds", "if node.depth <= self.rounds", SEARCHES),
    Fault("particles: finished answers are annealed too", "search/particles.py",
          'if node.fate == "finished" or not self.anneal:', "if not self.anneal:", SEARCHES),
    Fault("abmcts: the normal prior's mean counts n + 1 times", "search/abmcts.py",
          "n * mean**2 / kappa\n", "n * mean**2\n", SEARCHES),
    # Estimators.
    Fault("difficulty bins by lowest rank, not mean rank", "evaluate/estimators.py",
          "np.cumsum(counts) - counts / 2", "np.cumsum(counts) - counts", ESTIMATORS),
    Fault("macro interval from resamples that lack a group", "evaluate/intervals.py",
          "np.stack([np.where(np.isfinite(x), x, np.nan) for x in means_GR]).mean(axis=0)",
          "np.nanmean(np.stack([np.where(np.isfinite(x), x, np.nan) for x in means_GR]), axis=0)", ESTIMATORS),
    Fault("bradley_terry: the prior's games are spread over oneself too", "judging/bradley_terry.py",
          "/ max(1, num_players - 1)", "/ num_players", ESTIMATORS),
    Fault("ingestion: no answer scores as the worst evidence", "evaluate/ingestion.py",
          "failed_score(scorer, [scores.get(c.id) for c in draws])",
          "failed_score(scorer, scores.values())", ESTIMATORS),
    # Budgets.
    Fault("an inner deadline forgets the outer one", "budget.py",
          "min(_deadline_at.get(), time.monotonic() + seconds)", "time.monotonic() + seconds", BUDGETS),
    Fault("the last tokens of a budget cannot be granted", "budget.py",
          "num_tokens > tokens_left", "num_tokens >= tokens_left", BUDGETS),
    Fault("a stream cut at the deadline has no prefix in its prompt", "accounting/open_calls.py",
          "prompt_tokens(request.prompt) + estimated_tokens(request.prefix)",
          "prompt_tokens(request.prompt)", BUDGETS),
    Fault("hf_config: every second layer, beginning with the wrong one", "accounting/hf_config.py",
          "(layer + 1) % step == 0", "layer % step == 0", BUDGETS),
    # Streams.
    Fault("stream: a chunk behind the last word takes the finish reason back", "engines/openai/choice_builder.py",
          "delta.finish_reason or self.finish_reason", "delta.finish_reason", STREAMS),
    Fault("usage: shares by characters, not bytes", "engines/openai/usage.py",
          '1 + len(d.text.encode(errors="replace"))', "1 + len(d.text)", STREAMS),
    Fault("reasoning that comes late is emitted after the text", "engines/prefix.py",
          "not (self._has_emitted_reasoning or self._num_emitted)", "not self._has_emitted_reasoning", STREAMS),
    Fault("chat stream: reasoning sent twice behind that of a failed draw", "serve/api/chat_stream.py",
          "not self._sent_reasoning.endswith(reasoning)", "self._sent_reasoning != reasoning", STREAMS),
    # Records.
    Fault("resume: answers that a fallback chose are drawn again", "records.py",
          'head.stopped == "error" and head.error is not None', 'head.stopped == "error"', RECORDS),
    Fault("datasets: blank lines are not counted", "datasets.py",
          "enumerate(lines, 1):\n            if line.strip(",
          "enumerate((x for x in lines if x.strip()), 1):\n            if line.strip(", RECORDS),
    Fault("run: an error hides that the budget ended", "run.py",
          'if error and stopped == "done":', "if error:", RECORDS),
    Fault("resume: candidates that were added to a pool go unnoticed", "run.py",
          "return [(c.text, c.error) for c in recorded[: len(pool)]] == texts",
          "return all((c.text, c.error) == t for c, t in zip(recorded, texts, strict=False))", RECORDS),
)  # fmt: skip

SECOND: Final = (
    # Selectors.
    Fault("vote: a truncated answer wins its class", "selection/vote.py",
          'whole = [c for c in members[best] if c.finish != "length"]', "whole = members[best]", SELECTORS),
    Fault("guard: the prompt's language before the candidate's own", "selection/guard.py",
          "candidate.language or prompt.language", "prompt.language or candidate.language", SELECTORS),
    Fault("tournament: the swapped game counts for the wrong seat", "selection/tournament.py",
          "of_b = fsum((game.points[1], swapped.points[0]))",
          "of_b = fsum((game.points[1], swapped.points[1]))", SELECTORS),
    # Searches.
    Fault("dvts: an answer that was finished twice takes one place", "search/dvts.py",
          "for i in drawn if i is not None]", "for i in dict.fromkeys(drawn) if i is not None]", SEARCHES),
    Fault("particles: what has no weight is chosen at 0", "search/particles.py",
          "below[j] <= (i + at) / n", "below[j] < (i + at) / n", SEARCHES),
    Fault("beam: the last step of a lookahead is not scored", "search/beam.py",
          "is_last = looking.num_steps + 1 == self.lookahead",
          "is_last = looking.num_steps == self.lookahead", SEARCHES),
    # Estimators.
    Fault("holm: adjusted p-values are not monotone", "evaluate/significance.py",
          "largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))",
          "largest = min(1.0, (len(p_values) - rank) * p_values[i])", ESTIMATORS),
    Fault("majority_at_k: without a vote, draws outside the subset count", "evaluate/estimators.py",
          "member.astype(np.float32) @ same.astype(np.float32), -1)",
          "member.astype(np.float32) @ same.astype(np.float32), 0)", ESTIMATORS),
    Fault("intervals of few units are too narrow", "evaluate/confidence.py",
          "-np.sqrt(num_units / (num_units - 1)) * t", "-np.sqrt((num_units - 1) / num_units) * t", ESTIMATORS),
    # Budgets.
    Fault("a pool counts its prompt's characters once", "budget.py",
          "self._num_input_chars += n * num_chars", "self._num_input_chars += num_chars", BUDGETS),
    Fault("grace is seconds, not a multiple of the time so far", "drawing.py",
          "ends_at = now + grace * (now - started)", "ends_at = now + grace", BUDGETS),
    Fault("tree: no sample is kept for an answer", "strategies/tree_rounds.py",
          "self._ctx.held_back(1, num_tokens)", "self._ctx.held_back(0, num_tokens)",
          (*BUDGETS, "tests/unit/strategies")),
    # Streams.
    Fault("sse: an event's name stays for the next", "engines/openai/sse.py",
          'self._name, self._data = "", []\n            return', "self._data = []\n            return", STREAMS),
    Fault("stream: a count of the whole call is one choice's", "engines/openai/stream.py",
          "if len(self._usages) == len(self._choices) > 1:", "if self._usages:", STREAMS),
    Fault("tool calls: an id may be emitted twice", "engines/openai/tool_calls.py",
          "            self._used_ids.add(id_)\n", "", STREAMS),
    Fault("a stream that is cut before its first text goes unreported", "drawing.py",
          "except asyncio.CancelledError:\n                if not counts_cut:",
          "except asyncio.CancelledError:\n                if not counts_cut and self.emitted:",
          (*STREAMS, *BUDGETS)),
    Fault("responses: an empty message beside the calls", "serve/api/responses_stream.py",
          "if self._has_message or not choice.tool_calls:", "if True:", STREAMS),
    # Records.
    Fault("records: a line that ends where a block begins is cut", "records.py",
          "if newline >= 0:", "if newline > 0:", RECORDS),
    Fault("select: steps compete with whole answers", "run.py",
          'answers = [c for c in pool.candidates if c.finish != "step"] or pool.candidates',
          "answers = pool.candidates", RECORDS),
    Fault("measures that begin late are those of the first prompts", "evaluate/runs.py",
          "        self.pad(start)\n", "", (*RECORDS, *ESTIMATORS)),
)  # fmt: skip
"""Chosen on 2026-12-01, after tests for what the first list showed."""

THIRD: Final = (
    # Selectors.
    Fault("chops: a part is never full", "selection/chops.py",
          "            left -= size\n", "", SELECTORS),
    Fault("verdict by logprobs: the mass of longer verdicts is not multiplied", "judging/verdict_logprobs.py",
          "            self._mass *= share_drawn\n            return not",
          "            return not", JUDGING),
    Fault("judges see the candidates in the order of their ids", "judging/pools.py",
          '    ctx.random("select").shuffle(order)\n', "", JUDGING),
    # Searches.
    Fault("particles: one more than N after a resampling under Gibbs", "search/particles.py",
          "rng.choices(range(n), weights, k=n - 1)", "rng.choices(range(n), weights, k=n)", SEARCHES),
    Fault("machine: a child that is told again replaces the first", "search/machine.py",
          "if key in state.told or not any(", "if not any(", SEARCHES),
    Fault("beam: values of a lookahead are not kept", "search/beam.py",
          "replace(self._widen(valued, looking.num_finished), values=values)",
          "self._widen(valued, looking.num_finished)", SEARCHES),
    # Estimators.
    Fault("compare: draws are evidence as well", "evaluate/compare.py",
          "if is_evidence(c, pool.prompt) and not c.parents]", "if not c.parents]", ESTIMATORS),
    # Budgets.
    Fault("hedge: as many second calls as can be saved up from the start", "engines/layers/hedge.py",
          "min(live.credit + self.most, _MAX_CREDIT)", "_MAX_CREDIT", LAYERS),
    Fault("hf_config: several shared experts count as one", "accounting/hf_config.py",
          "3 * width * num_shared * config", "3 * width * config", BUDGETS),
    Fault("budget: draws are granted at the deadline", "budget.py",
          'if self.seconds_left == 0:\n            return Grant(None, "deadline", is_cut_by_reservations)',
          "pass", BUDGETS),
    # Streams.
    Fault("chat stream: only the last delta of a call's arguments is remembered", "serve/api/chat_stream.py",
          "arguments=begun.arguments + delta.arguments)", "arguments=delta.arguments)", STREAMS),
    Fault("responses: every delta of reasoning begins an item", "serve/api/responses_stream.py",
          'if self._is_reasoning_open:\n            return b""', "pass", STREAMS),
    Fault("unchosen: the last that was drawn, not the first", "serve/unchosen.py",
          "first = candidates[0]", "first = candidates[-1]", GATEWAY),
    Fault("tool calls: an empty object hides the text of the arguments", "engines/openai/tool_calls.py",
          "if objects and objects[0]:", "if objects:", STREAMS),
    Fault("usage: truncated choices that fill the count exactly are shared out by length", "engines/openai/usage.py",
          "(rest > 0 and all(is_truncated))", "(rest >= 0 and all(is_truncated))", STREAMS),
    # Records.
    Fault("cache: an engine that was never met can do nothing instead of being unreachable",
          "engines/layers/cache.py", "if stored is None:\n                raise\n", "", LAYERS),
    Fault("datasets: a prompt of an image alone is empty", "datasets.py",
          "m.content.strip() or m.parts or m.fields", "m.content.strip() or m.fields", RECORDS),
    Fault("prompt_index: the first of several prompts that ask the same", "evaluate/prompt_index.py",
          "if is_sole and len(numbers) == 1:", "if is_sole and numbers:", (*RECORDS, *ESTIMATORS)),
)  # fmt: skip
"""Chosen by lot on 2026-12-01, after tests for what the second list showed: see docs/log.md."""

FOURTH: Final = (
    # Selectors.
    Fault("tournament: a single answer is the fallback's", "selection/tournament.py",
          "if len(standing) == 1:\n            return chosen(standing[0])", "pass", SELECTORS),
    Fault("guard: every language is the wrong one", "selection/guard.py",
          "if asked and is_in_language(text, asked) is False:", "if asked:", SELECTORS),
    Fault("judges: what the budget forbids counts as answered", "judging/judge_calls.py",
          '"the budget or the deadline forbids the call", is_answered=False)',
          '"the budget or the deadline forbids the call")', (*JUDGING, "tests/unit/arena")),
    # Searches.
    Fault("abmcts: steps without a value are compared with 0 and 1", "search/abmcts.py",
          "values = [node.value for node in nodes if node.value is not None]",
          "values = [node.value for node in nodes]", SEARCHES),
    Fault("rsa: a first population of failures is aggregated", "strategies/rsa.py",
          "if not population:\n            return await select(self.selector, prompt, drawn, ctx)  # raises, and says why",
          "pass", SEARCHES),
    Fault("tree: the client's max_tokens give way to its own", "strategies/tree.py",
          "prompt.overrides.max_tokens or self.max_tokens", "self.max_tokens or prompt.overrides.max_tokens", SEARCHES),
    # Estimators.
    Fault("measures: draws without an answer vote", "evaluate/measures.py",
          "majority_at_k(scores_PN, classes_PN, k, votes_PN=votes_PN)",
          "majority_at_k(scores_PN, classes_PN, k)", ESTIMATORS),
    Fault("paired differences: the interval forgets the clusters", "evaluate/significance.py",
          "mean_interval(differences_P, clusters=clusters, seed=seed, resamples=resamples)",
          "mean_interval(differences_P, seed=seed, resamples=resamples)", ESTIMATORS),
    Fault("scores: a grader's name gives the reader's accuracy", "evaluate/scores.py",
          "registry.spec_of(Oracle(grader=given))", "registry.spec_of(Oracle())", (*ESTIMATORS, "tests/unit/cli")),
    # Budgets.
    Fault("drawing: what was cut is not reported", "drawing.py",
          "self._observer.on_cut(request, usage)", "pass", BUDGETS),
    Fault("drawing: nobody hears that the deadline cut a call", "drawing.py",
          "        except TimeoutError:\n            self._on_deadline()\n",
          "        except TimeoutError:\n            pass\n", BUDGETS),
    Fault("allowances: what may be spent is counted without prices", "serve/allowances.py",
          "Costs(prices=prices).money(context.observer", "Costs().money(context.observer",
          _tests("unit/serve/test_spending.py", "unit/serve/test_costs.py", "unit/serve")),
    # Streams.
    Fault("echoed log-probabilities: a token without one counts", "engines/openai/reply_logprobs.py",
          "for token, value in inside if value is not None]", "for token, value in inside]", STREAMS),
    Fault("responses: a message is not announced", "serve/api/responses_stream.py",
          '        out += self._item("added", self._message_index(), message_item(self._id, None))\n', "", STREAMS),
    Fault("a streamed function call of the older kind is lost", "engines/openai/choice_builder.py",
          "        if self._functions:\n            message.function_call = joined_function(self._functions)\n",
          "", STREAMS),
    Fault("tool calls: emission begins again behind a delta that ended it", "engines/openai/tool_calls.py",
          "if self._num_calls is None or delta.index is None or isinstance",
          "if delta.index is None or isinstance", STREAMS),
    Fault("log-probabilities that are no numbers are kept", "engines/openai/reply_logprobs.py",
          "finite = [v for v in values if v is not None and isfinite(v)]", "finite = [v for v in values]", STREAMS),
    # Records.
    Fault("datasets: a turn of calls alone is an empty prompt", "datasets.py",
          "m.content.strip() or m.parts or m.fields", "m.content.strip() or m.parts", RECORDS),
    Fault("cache: failed draws are stored", "engines/layers/cache.py",
          "for k, c in zip(keys[start:], drawn, strict=False) if c.error is None]",
          "for k, c in zip(keys[start:], drawn, strict=False)]", LAYERS),
    Fault("session: a budget is ignored", "session.py",
          "budget or Budget()", "Budget()", (*RECORDS, "tests/unit/cli")),
)  # fmt: skip
"""Chosen by lot on 2026-12-01, after tests for what the third list showed: see docs/log.md."""

FIFTH: Final = (
    # Selectors.
    Fault("mbr: blocks of a large pool are empty", "selection/mbr.py",
          "texts[start : start + step]", "texts[start:start]", SELECTORS),
    Fault("judges: that structured output is not taken goes without a note", "judging/judge_calls.py",
          """    ctx.note(
        f"the judge takes no structured output ({drawn[refused[0]][0].error}): its verdicts are read from text"
    )
""", "", JUDGING),
    Fault("mbr: pruning drops nothing", "selection/mbr.py",
          " if w > 1 - self.confidence}", "}", SELECTORS),
    # Searches.
    Fault("tree: answers drawn behind the last round have no value", "strategies/tree_answers.py",
          "        await self._values.ask(drawn)\n", "", SEARCHES),
    Fault("revise: no revision at all is allowed", "strategies/revise.py",
          "if self.sequential < 1 or self.parallel < 1:", "if self.parallel < 1:", SEARCHES),
    Fault("particles: finished ones are resampled", "search/particles.py",
          "if cloud.has_open_particles and size <", "if size <", SEARCHES),
    # Estimators.
    Fault("style control: steps of Newton's method without a bound", "arena/style_control.py",
          "step_BP * (_MAX_STEP / longest_B1)", "step_BP", ESTIMATORS),
    Fault("scores: nobody opens engines where none are given", "evaluate/scores.py",
          "usable, engines or ScoringEngines())", "usable, engines)", ESTIMATORS),
    Fault("judge report: a pair without a verdict is judged twice", "arena/judge_report.py",
          "all(game.is_asked and game.grade for", "all(game.is_asked for", ESTIMATORS),
    # Budgets.
    Fault("budget: nothing can be granted under a limit of tokens", "budget.py",
          "if tokens_left is not None and num_tokens > tokens_left:", "if tokens_left is not None:", BUDGETS),
    Fault("hf_config: latent attention projects down from a width of 1", "accounting/hf_config.py",
          "width * (rank + rope) + rank", "width + rank", BUDGETS),
    Fault("hf_config: latent queries have no rotary part", "accounting/hf_config.py",
          "num_heads * (key_head + rope)", "num_heads * key_head", BUDGETS),
    # Streams.
    Fault("drawing: a stream that ended counts as cut", "drawing.py",
          "if draw.completions[0] is None and own:", "if own:", BUDGETS),
    Fault("response: a refusal beside tool calls counts", "engines/openai/response.py",
          "if plain_text(message.content) or message.tool_calls or message.function_call:",
          "if plain_text(message.content) or message.function_call:", STREAMS),
    Fault("tool calls: the older kind alone is malformed", "engines/openai/tool_calls.py",
          "msgspec.convert(called or [], list[_Call])", "msgspec.convert(called, list[_Call])", STREAMS),
    Fault("drawing: a quorum is not waited for", "drawing.py",
          "        await _wait_until(is_reached, tasks, grace)\n", "", BUDGETS),
    Fault("chat stream: reasoning that was sent is forgotten", "serve/api/chat_stream.py",
          "        self._sent_reasoning += delta\n", "", STREAMS),
    # Records.
    Fault("types: a prompt's text is its first user turn", "types.py",
          "for m in reversed(self.messages) if", "for m in self.messages if", (*RECORDS, "tests/unit/test_types.py")),
    Fault("datasets: a row that is no object is read on", "datasets.py",
          """    if not isinstance(row, dict):
        raise InputError(f'{where}: not a JSON object; write  {{"prompt": "…"}}')
""", "", RECORDS),
    Fault("records: differing keys are named in any order", "records.py",
          "keys = sorted(then.keys() | now.keys())", "keys = list(then.keys() | now.keys())", RECORDS),
)  # fmt: skip
"""Chosen by lot on 2026-12-01, after tests for what the fourth list showed: see docs/log.md."""

LISTS: Final = {"first": FIRST, "second": SECOND, "third": THIRD, "fourth": FOURTH, "fifth": FIFTH}
