"""Flows do the same in every replay: no clock, no chance, no order of a set, nothing caught that is the engine's."""

import ast
from pathlib import Path

import pytest

FLOWS = Path(__file__).parents[2] / "flows"
ENGINE = frozenset({
    "arrivals", "changes", "correspondent", "engine", "envelope", "execution", "hospital", "journal", "post_office",
    "operator", "registry", "runner", "session", "step", "store", "surroundings", "terminal", "turn", "waiting",
})  # fmt: skip
FOREIGN = frozenset({
    "asyncio", "datetime", "io", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "subprocess", "threading",
    "time", "uuid",
})  # fmt: skip
CALLS = frozenset({"open", "input", "hash", "id", "set", "globals", "vars", "print"})
CATCH_ALL = frozenset({"Exception", "BaseException"})


def modules() -> list[Path]:
    return [
        path
        for path in sorted(FLOWS.rglob("*.py"))
        if path.parent != FLOWS or path.stem not in ENGINE
    ]


def faults(source: str) -> list[str]:
    """Return what in a module could make two runs of a flow differ."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        what = _fault(node)
        if what:
            found.append(f"line {getattr(node, 'lineno', 0)}: {what}")
    return found


def _fault(node: ast.AST) -> str:
    what = ""
    match node:
        case ast.Import(names=names) if any(n.name.split(".")[0] in FOREIGN for n in names):
            what = "imports what differs from run to run"
        case ast.ImportFrom(module=str(module)) if module.split(".")[0] in FOREIGN:
            what = "imports what differs from run to run"
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            what = f"calls {name}"
        case ast.For(iter=walked) | ast.AsyncFor(iter=walked) | ast.comprehension(iter=walked):
            what = "walks over a set" if isinstance(walked, ast.Set | ast.SetComp) else ""
        case ast.ExceptHandler(type=None):
            what = "catches everything"
        case ast.ExceptHandler(type=ast.expr() as caught):
            kinds = {n.id for n in ast.walk(caught) if isinstance(n, ast.Name)}
            what = "catches what is the engine's" if kinds & CATCH_ALL else ""
        case ast.Global() | ast.Nonlocal():
            what = "keeps state outside its journal"
        case _:
            pass
    return what


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(FLOWS)))
def test_nothing_in_a_flow_differs_from_run_to_run(module: Path) -> None:
    assert faults(module.read_text("utf-8")) == []


def test_sets_in_flows_are_sorted_before_they_are_walked() -> None:
    assert faults("for party in {1, 2}:\n    pass")
    assert faults("[x for x in {y for y in (1, 2)}]")
    assert not faults("for party in sorted({1, 2}):\n    pass")


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from random import choice",
        "from os.path import join",
        "open('x')",
        "try:\n    pass\nexcept:\n    pass",
        "try:\n    pass\nexcept (KeyError, Exception):\n    pass",
        "def f():\n    global x",
        "set((1, 2))",
    ],
)
def test_the_guard_finds_what_it_looks_for(source: str) -> None:
    assert faults(source)


def test_the_engine_itself_is_where_the_guard_thinks() -> None:
    assert {name for name in ENGINE if not (FLOWS / f"{name}.py").exists()} == set()
