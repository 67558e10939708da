"""Imports point one way: a room may import from its own layer and from the layers above it in this list."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2] / "src" / "nbest"
LAYERS = [
    {"errors", "identity_cache", "suggestions"},
    {"types"},
    {"protocols", "worker_process", "offload", "schema_limits"},
    {"offload_worker", "validators"},
    {"accounting", "budget", "demand", "text"},
    {"registry"},
    {
        "constraints",
        "records",
        "own_texts",
        "datasets",
        "http_client",
        "http_errors",
        "http_replies",
        "toml_lines",
    },
    {"toml_file"},
    {"drawing", "asked_scores", "pilot"},
    {"context"},
    {"engines"},
    {"plan"},
    {"stops"},
    {"judging", "sampling"},
    {"scoring"},
    {"utilities"},
    {"selection"},
    {"search"},
    {"strategies"},
    {"run"},
    {"session"},
    {"tasks"},
    {"evaluate"},
    {"arena", "export"},
    {"report"},
    {"lab"},
    {"settings"},
    {"serve"},
    {"cli"},
]
RANK = {name: i for i, layer in enumerate(LAYERS) for name in layer}
TYPES_ONLY = {("protocols", "context"), ("protocols", "plan"), ("protocols", "search")}
"""Names in annotations, which are not imported at run time."""
EXCEPTIONS: dict[tuple[str, str], str] = {}
"""(module, room) → why it may import against the order."""
GOLD_MAY_BE_READ_IN = {
    "cli.demo_run",
    "context",
    "datasets",
    "evaluate",
    "export",
    "arena",
    "run",
    "scoring.gold_answer",
    "scoring.reference_oracle",
    "session",
}


@cache
def modules():
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(p for p in parts if p != "__init__")
        found.append((name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def room_of(module):
    return module.split(".")[0]


def imported(tree):
    """The rooms that a module imports from, at its top, in a function or for annotations alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules_named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "nbest":
            modules_named = [f"nbest.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules_named = [node.module]
        else:
            continue
        for name in modules_named:
            package, _, rest = name.partition(".")
            if package == "nbest" and rest:
                yield room_of(rest)


def test_the_order_names_exactly_the_rooms_that_exist():
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    files = {p.stem for p in ROOT.glob("*.py")} - {"__init__", "__main__"}
    assert set(RANK) == packages | files
    assert sum(map(len, LAYERS)) == len(RANK), "a room is named twice"


def test_imports_point_one_way():
    wrong = {
        (module, room)
        for module, tree in modules()
        if module not in {"", "__main__"}
        for room in imported(tree)
        if RANK.get(room, -1) > RANK[room_of(module)]
    }
    assert wrong - TYPES_ONLY == set(EXCEPTIONS), (
        "against the order; or an exception that is not needed any more"
    )


def test_the_gold_answer_is_read_by_oracles_and_evaluation_only():
    readers = {
        module
        for module, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "gold" and isinstance(node.ctx, ast.Load)
    }
    assert not [m for m in readers if not any(m == a or m.startswith(a + ".") for a in GOLD_MAY_BE_READ_IN)]
