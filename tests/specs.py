"""Specs of every plug-in, for the suites that run over all of them."""

from pathlib import Path

from nbest import registry

PLAN = Path(__file__).parent / "fixtures" / "plan.toml"

STOP_FILE = Path(__file__).parent / "fixtures" / "stop.toml"
"""Weights of a learned stopping rule."""

SPELLED = {
    ("selectors", "best"): "best(logprob)",
    ("selectors", "guard"): "guard(selector=first)",
    ("strategies", "planned"): f"planned(file='{PLAN}')",
    ("strategies", "cross_lingual"): "cross_lingual(selector=xmbr(utility=chrf), languages=[en, zh])",
    ("strategies", "tree"): "tree(search=beam(n=8), verifier=logprob)",
    ("strategies", "short_m_at_k"): "short_m_at_k(sampler=iid(n=4), m=3)",
    ("selectors", "xmbr"): "xmbr(utility=chrf)",
    ("samplers", "mixture"): "mixture(sampler=hedged(n=6), engines=[policy, b])",
    ("samplers", "prompts"): "prompts(sampler=ladder(n=4), variants=['{prompt}', '仔细想想。{prompt}'])",
    ("scorers", "comet_quality"): "comet_quality(python='python')",
    ("scorers", "hf_prm"): "hf_prm(model='model', step_mark='<extra_0>')",
    ("scorers", "hf_reward"): "hf_reward(model='model')",
    ("scorers", "recorded"): "recorded(field=human)",
    ("scorers", "reward"): "reward(url='http://localhost:8000')",
    ("scorers", "reference_oracle"): "reference_oracle(utility=chrf)",
    ("stops", "index"): "index(logprob)",
    ("stops", "learned"): f"learned('{STOP_FILE}')",
    ("stops", "threshold"): "threshold(logprob)",
    ("utilities", "comet"): "comet(python='python')",
    ("utilities", "embedding"): "embedding(url='http://localhost:8000/v1')",
}
"""Plug-ins that cannot be made without parameters."""


def all_of(kind: str) -> list[str]:
    """One spec for each plug-in of a kind; a new table line joins every suite by itself."""
    return [SPELLED.get((kind, name), name) for name in registry.names(kind)]
