"""What griffe has to know of this house, to make the API reference of its docstrings.

- An attrs class has an ``__init__``, though none is written down.
- A section may be a sentence: ``Raises: As trace_waybill.``
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import griffe

#: A "Raises:" that holds one line, which names no exception.
_SENTENCE = re.compile(r"^Raises:\n(?! +\w+:) +([^\n]+\.)$", re.MULTILINE)
_KINDS = {
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
}


class HouseStyle(griffe.Extension):
    """
    Reads what griffe alone would not.
    """

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """
        Let a section of one sentence be a sentence.
        """
        if obj.docstring:
            obj.docstring.value = _SENTENCE.sub(
                r"**Raises:** \1", inspect.cleandoc(obj.docstring.value)
            )

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """
        Give an attrs class the ``__init__`` that it has when it is imported.
        """
        if not any(str(one.value).startswith("attrs.") for one in cls.decorators):
            return
        real = getattr(importlib.import_module(cls.module.path), cls.name)
        parameters = [griffe.Parameter("self")]
        for parameter in inspect.signature(real).parameters.values():
            default = parameter.default
            parameters.append(
                griffe.Parameter(
                    parameter.name,
                    annotation=_annotation(parameter),
                    kind=_KINDS[parameter.kind],
                    default=None if default is parameter.empty else _shown(default),
                )
            )
        made = griffe.Function(
            "__init__",
            parameters=griffe.Parameters(*parameters),
            returns="None",
            lineno=cls.lineno,
            endlineno=cls.endlineno,
        )
        cls.set_member("__init__", made)


def _annotation(parameter: inspect.Parameter) -> str | None:
    note = parameter.annotation
    if note is parameter.empty:
        return None
    return note if isinstance(note, str) else inspect.formatannotation(note)


def _shown(default: object) -> str:
    if not callable(default):
        return repr(default)
    owner = getattr(default, "__self__", None)
    module = owner if inspect.ismodule(owner) else inspect.getmodule(owner or default)
    if module is None:  # random.random is bound to an instance of Random
        module = inspect.getmodule(type(owner))
    return f"{module.__name__}.{default.__name__}"
