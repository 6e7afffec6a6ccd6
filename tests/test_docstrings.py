"""Every public name is documented."""

import importlib
import inspect
import pkgutil
from typing import Any, Iterator

import pytest

import wxlogistics

pytestmark = pytest.mark.once


def modules() -> Iterator[Any]:
    found = pkgutil.walk_packages(wxlogistics.__path__, "wxlogistics.")
    for name in ["wxlogistics", *(module.name for module in found)]:
        if name.endswith("__main__"):
            continue
        try:
            yield importlib.import_module(name)
        except ModuleNotFoundError as error:
            assert error.name in {"PyInstaller", "click", "jinja2", "responses"}


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
