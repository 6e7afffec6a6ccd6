"""Imports run one way, and the core asks for requests and attrs alone."""

import ast
import sys
from pathlib import Path
from typing import Iterator, NamedTuple

import pytest
from programs import run_python

import wxlogistics

pytestmark = pytest.mark.once

PACKAGE = Path(wxlogistics.__file__).parent

#: From the bottom up; what stands in one line knows nothing of its neighbours.
LAYERS = [
    ["_version", "_hosts", "_logs", "_private", "errcodes"],
    ["errors"],
    ["_arguments"],
    ["models"],
    ["_http"],
    ["_wire"],
    ["tokens"],
    ["client"],
    ["bulk"],
    ["__init__"],
    ["probe"],
    ["demo"],
    ["cli", "_pyinstaller"],
]
#: Above the core: what an extra is needed for.
COMMAND = ["demo", "cli"]
CORE = [name for layer in LAYERS[:-4] for name in layer]
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}

#: What a module may ask for that is in no standard library; the others for nothing.
THIRD_PARTIES = {
    "_http": {"attrs", "requests", "urllib3"},
    **{name: {"attrs"} for name in ("models", "_wire", "tokens", "client", "bulk")},
}

#: The only modules of the sandbox that hand out a ready client.
WITH_CLIENT = {"mock", "pytest_plugin"}


class Import(NamedTuple):
    module: str
    name: str


def only_for_types(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def imports(path: Path, package: str) -> list[Import]:
    """What the module at *path* in *package* imports at run time."""
    return list(_imports(ast.parse(path.read_text(encoding="utf-8")), package))


def _imports(node: ast.AST, package: str) -> Iterator[Import]:
    if only_for_types(node):
        return
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, "")
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")
        outer = parents[: len(parents) - node.level + 1] if node.level else []
        module = ".".join([*outer, *filter(None, [node.module])])
        for alias in node.names:
            yield Import(module, alias.name)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, package)


def files(name: str) -> list[Path]:
    """The files of the module or of the inner package *name*."""
    return [*PACKAGE.glob(f"{name}.py"), *sorted((PACKAGE / name).rglob("*.py"))]


def siblings(name: str) -> set[str]:
    found = set()
    for path in files(name):
        package = ".".join(path.parent.relative_to(PACKAGE.parent).parts)
        for module, imported in imports(path, package):
            if module == "wxlogistics":
                # ``from . import x`` names a module, or something that __init__ has.
                found.add(imported if files(imported) else "__init__")
            elif module.startswith("wxlogistics."):
                found.add(module.split(".")[1])
    return found - {name}


def third_parties(path: Path, package: str) -> set[str]:
    tops = {module.partition(".")[0] for module, _ in imports(path, package)}
    return tops - set(sys.stdlib_module_names) - {"wxlogistics", "__future__"}


def existing(names: list[str]) -> list[str]:
    return [name for name in names if files(name)]


class TestCore:
    def test_modules__each_has_a_layer(self):
        found = {path.stem for path in PACKAGE.glob("*.py")}
        found |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

        assert {"errors", "models", "_http", "_wire", "tokens", "client"} <= found
        assert found <= {*HEIGHT, "__main__", "_pyinstaller", "sandbox"}

    @pytest.mark.parametrize("name", existing([*CORE, "__init__", *COMMAND]))
    def test_imports__downwards_only(self, name):
        found = siblings(name)
        if name in COMMAND:
            found -= {"sandbox"}

        assert {each for each in found if HEIGHT.get(each, 99) >= HEIGHT[name]} == set()

    @pytest.mark.parametrize("name", existing(CORE))
    def test_imports__third_parties(self, name):
        found = third_parties(PACKAGE / f"{name}.py", "wxlogistics")

        assert found <= THIRD_PARTIES.get(name, set())


class TestSandbox:
    @pytest.mark.parametrize(
        "path", sorted((PACKAGE / "sandbox").rglob("*.py")), ids=lambda path: path.stem
    )
    def test_imports__sandbox_does_not_use_the_client(self, path):
        """An imitation that reuses the code under test would repeat its bugs."""
        package = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
        # The words of errcodes are shared by all that explain them.
        allowed = {
            Import("wxlogistics.models", "WaybillStatus"),
            Import("wxlogistics.errcodes", "WORDS"),
        }
        if path.stem in WITH_CLIENT:
            allowed.add(Import("wxlogistics", "Client"))
        found = {
            each
            for each in imports(path, package)
            if each.module.startswith("wxlogistics")
            and not each.module.startswith("wxlogistics.sandbox")
        }

        assert found - allowed == set()

    def test_imports__world_knows_no_http(self):
        package = "wxlogistics.sandbox.world"
        for path in (PACKAGE / "sandbox" / "world").glob("*.py"):
            modules = {module for module, _ in imports(path, package)}

            assert third_parties(path, package) <= {"attrs"}
            assert not {"http", "http.server", "socket", "urllib.parse"} & modules
            own = {each for each in modules if each.startswith("wxlogistics.sandbox")}
            assert all(each.startswith(package) for each in own)


class TestLoading:
    def test_import__loads_no_extra(self):
        script = (
            "import sys, wxlogistics; "
            "extras = 'click rich h11 jinja2 flask responses pytest'.split(); "
            "own = ['wxlogistics.sandbox', 'wxlogistics.cli', 'wxlogistics.__main__']; "
            "print([name for name in extras + own if name in sys.modules])"
        )
        printed = run_python("-W", "error", "-c", script, cwd=PACKAGE.parent)

        assert "[]\n" == printed
