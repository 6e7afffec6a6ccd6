"""Shows griffe the ``__init__`` of attrs classes, which is nowhere written down."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import griffe

_KINDS = {
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
}


class AttrsInit(griffe.Extension):
    """
    Reads the signature of the imported class.
    """

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """
        Add the ``__init__`` to *cls*, if attrs makes it.
        """
        if not any(str(one.value).startswith("attrs.") for one in cls.decorators):
            return
        real = getattr(importlib.import_module(cls.module.path), cls.name)
        parameters = [griffe.Parameter("self")]
        for parameter in inspect.signature(real).parameters.values():
            default, note = parameter.default, parameter.annotation
            parameters.append(
                griffe.Parameter(
                    parameter.name,
                    annotation=(
                        note
                        if isinstance(note, str)
                        else inspect.formatannotation(note)
                    ),
                    kind=_KINDS[parameter.kind],
                    default=None if default is parameter.empty else repr(default),
                )
            )
        made = griffe.Function("__init__", parameters=griffe.Parameters(*parameters))
        made.lineno, made.endlineno = cls.lineno, cls.endlineno
        cls.set_member("__init__", made)
