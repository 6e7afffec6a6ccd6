"""Changes the core in one place at a time, and shows which changes no test notices.

    python tests/mutants.py --count 200 --seed 1 [MODULE ...]

Each change runs in a copy of the project against the tests of its module, until the
first one fails or the time is up. A change that survives is either one that cannot be
seen, or a test that is missing. The exit status is 0 whatever survives, 1 if the tests
fail without a change, and 130 after Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import ast
import concurrent.futures
import contextlib
import copy
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Iterator, NamedTuple

ROOT = Path(__file__).resolve().parent.parent

#: Which tests each module has, the quick ones first.
TESTS = {
    "errors": "test_errors test_client test_wire* test_leaks",
    "models": "test_models test_client test_arguments test_properties test_wire*",
    "_http": "test_http* test_wire* test_arguments test_client test_leaks "
    "test_users_own_mocks tools/test_connections tools/test_other_libraries "
    "test_resilience tools/test_forks",
    "_wire": "test_wire* test_arguments test_client test_tokens* test_leaks "
    "tools/test_bounds test_resilience",
    "tokens": "test_tokens* test_token_caches test_leaks tools/test_bounds "
    "test_token_processes tools/test_other_libraries",
    "client": "test_client test_arguments test_from_env test_tokens* test_bulk "
    "test_public_names",
    "bulk": "test_bulk",
    "_arguments": "test_arguments test_client test_tokens* test_bulk test_from_env",
    "_hosts": "test_public_names test_tokens",
    "_logs": "test_leaks test_layers",
}

OPPOSITES: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Eq: ast.NotEq, ast.Is: ast.IsNot, ast.In: ast.NotIn},
    **{ast.NotEq: ast.Eq, ast.IsNot: ast.Is, ast.NotIn: ast.In},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.And: ast.Or, ast.Or: ast.And},
}

#: The runs that are under way.
running: set[subprocess.Popen[bytes]] = set()


class Change(NamedTuple):
    """One node of a tree, and what takes its place."""

    parent: ast.AST
    field: str
    index: int | None
    old: ast.AST
    new: ast.AST

    def apply(self) -> None:
        if self.index is None:
            setattr(self.parent, self.field, self.new)
        else:
            getattr(self.parent, self.field)[self.index] = self.new

    def __str__(self) -> str:
        old, new = ast.unparse(self.old), ast.unparse(self.new)
        return f"{old.splitlines()[0]}  ->  {new.splitlines()[0]}"


def changes(parent: ast.AST) -> Iterator[Change]:
    """
    Yield every change below *parent*, in an order that is always the same.

    Annotations, docstrings and the words of messages are left as they are.
    """
    for field, value in ast.iter_fields(parent):
        if field in ("annotation", "returns", "type_params"):
            continue
        for index, node in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(node, ast.AST) or is_silent(node):
                continue
            new = changed(node)
            if new is not None:
                yield Change(
                    parent, field, index if isinstance(value, list) else None, node, new
                )
            yield from changes(node)


def is_silent(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def changed(node: ast.AST) -> ast.AST | None:
    """Return what may take the place of *node*; None if it stays."""
    new = copy.copy(node)
    if isinstance(new, ast.Compare) and type(new.ops[0]) in OPPOSITES:
        new.ops = [OPPOSITES[type(new.ops[0])](), *new.ops[1:]]  # type: ignore
    elif isinstance(new, ast.BoolOp):
        new.op = OPPOSITES[type(new.op)]()  # type: ignore[assignment]
    elif isinstance(new, ast.UnaryOp) and isinstance(new.op, ast.Not):
        return new.operand
    elif isinstance(new, ast.Constant) and isinstance(new.value, bool):
        new.value = not new.value
    elif isinstance(new, ast.Constant) and isinstance(new.value, (int, float)):
        new.value += 1
    elif isinstance(new, ast.Constant) and isinstance(new.value, str):
        if " " in new.value:
            return None
        new.value += "?"
    elif isinstance(new, ast.Return) and ast.unparse(new)[7:] not in ("", "None"):
        new.value = ast.Constant(None)
    elif isinstance(new, ast.Expr) and isinstance(new.value, ast.Call):
        return ast.Pass()
    elif isinstance(new, (ast.If, ast.IfExp)) and isinstance(
        new.test, (ast.Name, ast.Attribute, ast.Call)
    ):
        new.test = ast.UnaryOp(ast.Not(), new.test)
    else:
        return None
    return new


def tests_of(module: str) -> list[str]:
    found = []
    for name in TESTS[module].split():
        paths = sorted(ROOT.glob(f"tests/{name}.py"))
        if not paths:
            sys.exit(f"There is no tests/{name}.py.")
        found += [str(path.relative_to(ROOT)) for path in paths]
    return found


def passes(folder: Path, tests: list[str], limit: float) -> bool:
    """Run *tests* in *folder*; a run of more than *limit* seconds has failed."""
    command = [sys.executable, "-m", "pytest", "-xq", "-p", "no:cacheprovider"]
    with subprocess.Popen(
        [*command, "-m", "not once", *tests],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        | {"WXLOGISTICS_SKIPPED": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        running.add(process)
        try:
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            kill(process)
            running.remove(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill *process* and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def survives(module: str, number: int, folder: Path, limit: float) -> str:
    """
    Make change *number* of *module* in *folder*; return it in words if it survives.
    """
    path = folder / "wxlogistics" / f"{module}.py"
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    change = list(changes(tree))[number]
    line = getattr(change.old, "lineno", 0)
    words = f"wxlogistics/{module}.py:{line}: {change}"
    change.apply()
    try:
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding="utf-8")
        return words if passes(folder, tests_of(module), limit) else ""
    finally:
        path.write_text(source, encoding="utf-8")


def main() -> None:
    """Take a sample of all changes, run it, and print what was caught."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", choices=[[], *TESTS], metavar="MODULE")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    every = [
        (module, number)
        for module in args.modules or TESTS
        for number, _ in enumerate(changes(parsed(module)))
    ]
    sample = random.Random(args.seed).sample(every, min(args.count, len(every)))
    tried = Counter(module for module, _ in sorted(sample))
    with tempfile.TemporaryDirectory() as temporary:
        folders: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for job in range(args.jobs):
            folders.put(copied(Path(temporary, str(job))))
        limits = {}
        folder = folders.get()
        for module in tried:
            started = time.monotonic()
            if not passes(folder, tests_of(module), 600):
                sys.exit(f"The tests of {module} fail without a change.")
            # Other jobs slow a run down.
            limits[module] = 30 + 3 * (time.monotonic() - started)
        folders.put(folder)
        print(f"{len(sample)} of {len(every)} changes, seed {args.seed}", flush=True)

        def work(each: tuple[str, int]) -> bool:
            module, number = each
            folder = folders.get()
            words = survives(module, number, folder, limits[module])
            folders.put(folder)
            if words:
                print(f"survived: {words}", flush=True)
            return bool(words)

        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            try:
                results = list(pool.map(work, sample))
            finally:
                for process in list(running):
                    kill(process)
    survived = Counter(module for (module, _), hole in zip(sample, results) if hole)
    tried["all"], survived["all"] = len(sample), sum(results)
    for module, count in tried.items():
        caught = count - survived[module]
        print(f"{module:10} {caught:4} caught {survived[module]:4} survived")


def parsed(module: str) -> ast.Module:
    path = ROOT / "wxlogistics" / f"{module}.py"
    return ast.parse(path.read_text(encoding="utf-8"))


def copied(folder: Path) -> Path:
    ignored = shutil.ignore_patterns(".*", "build", "dist", "site", "node_modules")
    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
