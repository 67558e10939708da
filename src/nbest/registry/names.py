"""The names of our plug-ins, kind by kind, and how else they may be written.

A new plug-in is one file and one line of `TABLES`; plug-ins of other packages are found by
`nbest.registry.outside`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbest import protocols

TABLES: Mapping[str, Mapping[str, str]] = {
    "strategies": {
        "auto": "nbest.strategies.auto:Auto",
        "budget_forcing": "nbest.strategies.budget_forcing:BudgetForcing",
        "cross_lingual": "nbest.strategies.cross_lingual:CrossLingual",
        "parallel": "nbest.strategies.parallel:Parallel",
        "planned": "nbest.strategies.planned:Planned",
        "revise": "nbest.strategies.revise:Revise",
        "rsa": "nbest.strategies.rsa:Rsa",
        "self_refine": "nbest.strategies.self_refine:SelfRefine",
        "short_m_at_k": "nbest.strategies.short_m_at_k:ShortMAtK",
        "tree": "nbest.strategies.tree:Tree",
    },
    "samplers": {
        "greedy": "nbest.sampling.greedy:Greedy",
        "hedged": "nbest.sampling.hedged:Hedged",
        "iid": "nbest.sampling.iid:Iid",
        "ladder": "nbest.sampling.ladder:Ladder",
        "mixture": "nbest.sampling.mixture:Mixture",
        "prompts": "nbest.sampling.prompts:Prompts",
        "translated": "nbest.sampling.translated:Translated",
    },
    "selectors": {
        "best": "nbest.selection.best:Best",
        "chops": "nbest.selection.chops:Chops",
        "first": "nbest.selection.first:First",
        "fuse": "nbest.selection.fuse:Fuse",
        "guard": "nbest.selection.guard:Guard",
        "judge_pairwise": "nbest.selection.pairwise:JudgePairwise",
        "likelihood": "nbest.selection.likelihood:Likelihood",
        "mbr": "nbest.selection.mbr:Mbr",
        "random": "nbest.selection.random:Random",
        "tournament": "nbest.selection.tournament:Tournament",
        "vote": "nbest.selection.vote:Vote",
        "xmbr": "nbest.selection.xmbr:Xmbr",
    },
    "scorers": {
        "comet_quality": "nbest.scoring.comet_quality:CometQuality",
        "deep_conf": "nbest.scoring.deep_conf:DeepConf",
        "hf_prm": "nbest.scoring.hf_prm:HfPrm",
        "hf_reward": "nbest.scoring.hf_reward:HfReward",
        "judge": "nbest.scoring.judge:Judge",
        "logprob": "nbest.scoring.logprob:Logprob",
        "noisy_oracle": "nbest.scoring.noisy_oracle:NoisyOracle",
        "oracle": "nbest.scoring.oracle:Oracle",
        "oracle_rollouts": "nbest.scoring.oracle_rollouts:OracleRollouts",
        "recorded": "nbest.scoring.recorded:Recorded",
        "reference_oracle": "nbest.scoring.reference_oracle:ReferenceOracle",
        "reward": "nbest.scoring.reward:Reward",
        "rollouts": "nbest.scoring.rollouts:Rollouts",
        "self_certainty": "nbest.scoring.self_certainty:SelfCertainty",
        "step_judge": "nbest.scoring.step_judge:StepJudge",
        "token_prm": "nbest.scoring.token_prm:TokenPrm",
        "word_steps": "nbest.lab.word_steps:WordSteps",
    },
    "searches": {
        "abmcts": "nbest.search.abmcts:Abmcts",
        "beam": "nbest.search.beam:Beam",
        "dora": "nbest.search.dora:Dora",
        "dvts": "nbest.search.dvts:Dvts",
        "particles": "nbest.search.particles:Particles",
        "rebase": "nbest.search.rebase:Rebase",
    },
    "utilities": {
        "bleu": "nbest.utilities.bleu:Bleu",
        "chrf": "nbest.utilities.chrf:Chrf",
        "comet": "nbest.utilities.comet:Comet",
        "edit": "nbest.utilities.edit:Edit",
        "judged": "nbest.utilities.judged:Judged",
        "token_f1": "nbest.utilities.token_f1:TokenF1",
        "embedding": "nbest.utilities.embedding:Embedding",
    },
    "stops": {
        "adaptive_consistency": "nbest.stops.adaptive_consistency:AdaptiveConsistency",
        "bayes_factor": "nbest.stops.bayes_factor:BayesFactor",
        "e_process": "nbest.stops.e_process:EProcess",
        "esc": "nbest.stops.esc:Esc",
        "first_n": "nbest.stops.first_n:FirstN",
        "index": "nbest.stops.index:Index",
        "learned": "nbest.stops.learned:Learned",
        "sprt": "nbest.stops.sprt:Sprt",
        "threshold": "nbest.stops.threshold:Threshold",
    },
    "tasks": {
        "gsm8k": "nbest.tasks.gsm8k:Gsm8k",
        "jsonl": "nbest.tasks.jsonl:Jsonl",
        "m_arenahard_v2": "nbest.tasks.arena_hard:MArenahardV2",
        "math500": "nbest.tasks.math500:Math500",
        "mgsm": "nbest.tasks.mgsm:Mgsm",
        "wmt24pp": "nbest.tasks.wmt24pp:Wmt24pp",
    },
    "engines": {
        "balance": "nbest.engines.layers.balance:Balance",
        "breaker": "nbest.engines.layers.breaker:Breaker",
        "cache": "nbest.engines.layers.cache:Cache",
        "failover": "nbest.engines.layers.failover:Failover",
        "fake": "nbest.engines.fake:Fake",
        "hedge": "nbest.engines.layers.hedge:Hedge",
        "limit": "nbest.engines.layers.limit:Limit",
        "llamacpp": "nbest.engines.llamacpp.llamacpp:LlamaCpp",
        "openai": "nbest.engines.openai.openai:OpenAI",
        "replay": "nbest.engines.replay:Replay",
        "retry": "nbest.engines.layers.retry:Retry",
    },
}
"""kind → name → "module:class"."""

OTHER_NAMES: Mapping[str, Mapping[str, str]] = {
    "engines": {"reissue": "hedge"},
    "selectors": {"best_of_n": "best"},
}
"""kind → other name → name. Specs with either are read; `spec_of` writes the name."""

OTHER_PARAMETERS: Mapping[str, Mapping[str, str]] = {
    "nbest.strategies.parallel:Parallel": {"linger": "grace"}
}
"""class → earlier name of a parameter → its name."""

WRITTEN_AS: Mapping[str, Mapping[str, str]] = {"searches": {"lookahead": "beam(lookahead=2)"}}
"""kind → the name of a method that is a parameter of another → how it is written."""

PART_OF: Mapping[str, tuple[str, str]] = {
    "searches": ("tree", "search"),
    "selectors": ("parallel", "selector"),
}
"""Kinds whose names are strategies as well, and the strategy's parameter that they stand for:
`beam(n=16, verifier=rollouts)` is `tree(search=beam(n=16), verifier=rollouts)`."""

PROTOCOL_BY_KIND: Mapping[str, Any] = {
    "strategies": protocols.Strategy,
    "samplers": protocols.Sampler,
    "selectors": protocols.Selector,
    "scorers": protocols.Scorer,
    "searches": protocols.Search,
    "utilities": protocols.Utility,
    "stops": protocols.Stop,
    "tasks": protocols.Task,
    "engines": protocols.Engine,
}
KIND_BY_PROTOCOL: Mapping[Any, str] = {protocol: kind for kind, protocol in PROTOCOL_BY_KIND.items()}

_IRREGULAR = {"searches": "search", "strategies": "strategy", "utilities": "utility"}


def singular(kind: str) -> str:
    """One of a kind, for messages: `search` of `searches`."""
    return _IRREGULAR.get(kind, kind.removesuffix("s"))
