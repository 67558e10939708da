"""Plans on disk: written readably, read strictly, wrong lines named."""

import pytest

from nbest.errors import InputError
from nbest.plan.difficulty import Difficulty
from nbest.plan.plan_file import HeldOutRow, Plan, read_plan, write_plan
from nbest.plan.plan_fit import Choice
from planning import CHOICES, PLAN, write_plan_file


def test_what_is_written_is_read(tmp_path):
    row = HeldOutRow(
        budget=8.0, value=0.9, cost=5.5, single="vote(n=8)", single_value=0.88, single_cost=8.0,
        gain=0.02, oracle_value=0.92, oracle_cost=6.0, fixed="vote(n=16)", fixed_value=0.9, saved=2.9,
    )  # fmt: skip
    choice = Choice(
        budget=8.0, bin=1, strategy="vote(n=8)", value=0.9, cost=5.5, num_prompts=40, language="zh-Hant"
    )
    plan = Plan(
        pilot=4,
        sampler="hedged(n=8)",
        mean_length=213.5,
        scorer="logprob",
        engines=("m",),
        difficulty=Difficulty(edges=(), shares=(1.0,), weights={"agreement": 0.5}, tasks={"mgsm 數學": 0.01}),
        choices=(choice, Choice(budget=8.0, bin=1, strategy="vote(n=8)", value=1.0, cost=4.0, num_prompts=9)),
        efforts={"low": 8.0},
        confusion=((1.0,),),
        held_out=(row,),
        provenance={"runs": ["рун 1"], "languages": ["zh-Hant"], "num_prompts": 49},
    )
    path = tmp_path / "план.toml"
    write_plan(plan, path)
    assert read_plan(str(path)) == plan
    assert path.read_text(encoding="utf-8").startswith("# A plan, written by nbest fit plan")


def test_a_new_version_of_the_file_is_read_anew(tmp_path):
    import os

    path = tmp_path / "plan.toml"
    write_plan_file(path)
    assert read_plan(str(path)).pilot == 4
    write_plan_file(path, head=PLAN.replace("pilot = 4", "pilot = 3"))
    os.utime(path, ns=(1, 1))
    assert read_plan(str(path)).pilot == 3


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("pilot = 4", "pilot = 0", "line 1: pilot must be above 0"),
        ("pilot = 4", "pilots = 4", "line 1: unknown key 'pilots'"),
        ("iid(n=16", "idd(n=16", "line 2: sampler: unknown sampler 'idd'"),
        ("low = 4.0", "low = 5.0", "line 7: efforts.low: no choice has budget 5; 4, 8, 16 do"),
        ("agreement = 1.0", "agreemnt = 1.0", "unknown weight 'agreemnt'"),
        ("edges = [0.7]", "edges = [0.5, 0.7]", "line 12: edges must descend"),
        ("edges = [0.7]", 'edges = "x"', "line 12: difficulty.edges: expected `array`, got `str`"),
        ("mean_length = 5.0", "mean_length = 5.0.0", "line 3"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, old, new, says):
    assert old in PLAN
    path = write_plan_file(tmp_path / "plan.toml", head=PLAN.replace(old, new, 1))
    with pytest.raises(InputError) as e:
        read_plan(path)
    assert says in str(e.value)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ([(4.0, 3, None, "vote(n=4)")], "bin must be between 1 and 2, got 3"),
        ([(4.0, 1, None, "vote(n=four)")], "strategy: "),
        (CHOICES[:1], "no choice for bin 2 at budget 4 without language and task"),
        ([], "choices"),
    ],
)
def test_choices_are_checked(tmp_path, choices, says):
    head = PLAN[: PLAN.index("[efforts]")] + PLAN[PLAN.index("[difficulty]") :]
    path = write_plan_file(tmp_path / "plan.toml", head=head, choices=choices)
    with pytest.raises(InputError) as e:
        read_plan(path)
    assert says in str(e.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="nbest fit plan writes such a file"):
        read_plan(str(tmp_path / "none.toml"))
