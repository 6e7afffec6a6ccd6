"""Every public name and every public argument is documented."""

import importlib
import inspect
import pkgutil
import re
from typing import Any, Iterator

import pytest

import wxlogistics
import wxlogistics.bulk

pytestmark = pytest.mark.once

#: What needs an extra that may be missing.
EXTRAS = {"PyInstaller", "aiohttp", "click", "jinja2", "pytest", "responses", "rich"}


def modules() -> Iterator[Any]:
    found = pkgutil.walk_packages(wxlogistics.__path__, "wxlogistics.")
    for name in ["wxlogistics", *(module.name for module in found)]:
        if name.endswith("__main__"):
            continue
        try:
            yield importlib.import_module(name)
        except ModuleNotFoundError as error:
            assert error.name in EXTRAS


def public(owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield the functions, classes and properties that *owner* itself defines."""
    for name, value in vars(owner).items():
        function = getattr(value, "__func__", value)
        if name.startswith("_"):
            continue
        if isinstance(function, property) or inspect.isroutine(function):
            yield name, getattr(owner, name)
        elif inspect.isclass(function):
            yield name, function


def says(thing: Any) -> bool:
    """Whether its docstring begins with a sentence."""
    first = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    return first.endswith((".", ":", "?"))


def test_docstrings__begin_with_a_sentence():
    lacking = []
    for module in modules():
        if not says(module):
            lacking.append(module.__name__)
        for name, value in public(module):
            if getattr(value, "__module__", None) != module.__name__:
                continue
            whole = [(name, value)]
            if inspect.isclass(value):
                whole += [(f"{name}.{part}", one) for part, one in public(value)]
            lacking += [
                f"{module.__name__}.{name}" for name, one in whole if not says(one)
            ]

    assert [] == lacking


CALLABLES = {
    name: value
    for module in (wxlogistics, wxlogistics.bulk)
    for name, value in public(module)
    if value.__module__.startswith("wxlogistics") and not name.startswith("_")
} | {f"Client.{name}": value for name, value in public(wxlogistics.Client)}


@pytest.mark.parametrize("name", CALLABLES)
def test_docstrings__explain_each_argument(name):
    value = CALLABLES[name]
    if name.endswith("Error") or name in (
        "TokenProvider",
        "WaybillStatus",
        "wrong_type",
    ):
        return
    arguments = [one for one in inspect.signature(value).parameters if one != "self"]
    said = inspect.getdoc(value) or ""
    for other in re.findall(r"\b(?:As|those of) `?(\w+)`?", said):
        there = CALLABLES.get(f"Client.{other}", CALLABLES.get(other))
        said += "\n" + (inspect.getdoc(there) or "" if there else "")
    # In the first sentence or in a section.
    explained = {f"{word}s" for word in re.findall(r"each (\w+)", said)}
    explained |= {*re.findall(r"\*(\w+)\*", said)}
    for line in said.splitlines():
        found = re.match(r" +([\w, ]+):", line)
        if found:
            explained.update(found[1].split(", "))

    assert [] == [argument for argument in arguments if argument not in explained]
