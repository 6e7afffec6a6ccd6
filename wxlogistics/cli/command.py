"""click's commands with this command's help format and shared options."""

from __future__ import annotations

import re
import sys
from typing import Any, Callable, Iterable, Sequence

import click

from .language import LANGUAGES, is_chinese, say
from .output import Terminal, fold, table, width

#: A file's name, which the shell completes; errors are reported where it is opened.
FILE = click.Path(readable=False)

#: One waybill_token in 64 begins with a hyphen.
_TOKEN = re.compile(r"-[\w-]{19,}")

_HELP_NAMES = {"help_option_names": ["-h", "--help"]}


class Formatter(click.HelpFormatter):
    """
    Writes help in columns of a terminal, where a Chinese character takes two.
    """

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__(width=width())

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        usage = say("Usage:") + ("" if is_chinese() else " ")
        self.write("\n".join(fold(f"{usage}{prog} {args}", self.width)) + "\n")

    def write_heading(self, heading: str) -> None:
        self.write(heading + ("：" if is_chinese() else ":") + "\n")

    def write_text(self, text: str) -> None:
        for line in text.split("\n"):
            # A command line is to be copied: it is not folded.
            is_command = line.startswith(("$ ", " "))
            lines = [f"  {line}"] if is_command else fold(line, self.width)
            self.write("\n".join(lines) + "\n")

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 34, col_spacing: int = 2
    ) -> None:
        for line in table([*rows], widest=col_max):
            self.write(f"{line}\n")


class Context(click.Context):
    """
    Formats help with `Formatter`, and notes the command in which an error arose.
    """

    formatter_class = Formatter

    def __exit__(self, *raised: Any) -> None:
        if getattr(raised[1], "ctx", self) is None:
            raised[1].ctx = self
        super().__exit__(*raised)


class Command(click.Command):
    """
    One command.

    Args:
        terminal: How the command was called.

        name: Its name; its help is the message ``[help NAME]``.

        run: Does it, and returns the exit code.

        params: Its own options and arguments; the shared ones follow.

        examples: Command lines for its help.

        calls: Whether it takes --base-url.
    """

    context_class = Context

    def __init__(
        self,
        terminal: Terminal,
        name: str,
        run: Callable[..., int],
        params: Iterable[click.Parameter] = (),
        *,
        help_name: str = "",
        examples: Sequence[str] = (),
        calls: bool = True,
    ) -> None:
        help_ = say(f"[help {help_name or name}]")
        super().__init__(
            name,
            callback=run,
            params=[*params, *_shared(terminal, calls)],
            help=help_,
            short_help=help_.split("\n")[0],
            epilog=_examples(examples),
            options_metavar=say("[OPTIONS]"),
            context_settings=_HELP_NAMES,
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """
        Take what looks like a waybill_token as an argument, also if it begins with -.
        """
        if any(map(_TOKEN.fullmatch, args)) and "--" not in args:
            # The only switch among the options is --json: the others take a value.
            pairs = zip(["--json", *args], args)
            free = [word for last, word in pairs if not re.match("--(?!json$)", last)]
            found = [*filter(_TOKEN.fullmatch, free)]
            args = [*(word for word in args if word not in found), "--", *found]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        code = super().invoke(ctx)
        sys.stdout.flush()
        return code


class Group(click.Group):
    """
    Several commands; prints its help if none is named.
    """

    context_class = Context

    def __init__(
        self,
        name: str,
        commands: Iterable[click.Command],
        *,
        params: Sequence[click.Parameter] = (),
        sections: Iterable[tuple[str, list[tuple[str, str]]]] = (),
        examples: Sequence[str] = (),
    ) -> None:
        self._sections = sections
        help_ = say(f"[help {name}]")
        super().__init__(
            name,
            # In the order in which they are given, not by the alphabet.
            commands={str(command.name): command for command in commands},
            callback=self._help,
            params=[*params, lang_option()],
            help=help_,
            short_help=help_,
            epilog=_examples(examples),
            context_settings=_HELP_NAMES,
            invoke_without_command=True,
            options_metavar=say("[OPTIONS]"),
            subcommand_metavar=say("COMMAND"),
        )

    @staticmethod
    def _help() -> None:
        context = click.get_current_context()
        if context.invoked_subcommand is None:
            click.echo(context.get_help())

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands]

    def format_epilog(self, ctx: click.Context, formatter: Any) -> None:
        super().format_epilog(ctx, formatter)
        for title, rows in self._sections:
            with formatter.section(title):
                formatter.write_dl(rows)


def _examples(lines: Sequence[str]) -> str | None:
    if not lines:
        return None
    head = say("Examples") + ("：" if is_chinese() else ":")
    return "\n".join([head, *(f"  $ {line}" for line in lines)])


def option(names: str, text: str = "", **settings: Any) -> click.Option:
    """
    Return an option; its help is the message ``[--NAME]``, or else *text*.
    """
    help_ = say(text or f"[{names.split()[0]}]")
    return click.Option(names.split(), help=help_, **settings)


def lang_option() -> click.Option:
    """
    Return --lang, which takes effect before click begins.
    """
    return option("--lang", type=click.Choice(LANGUAGES), expose_value=False)


def _shared(terminal: Terminal, calls: bool) -> Iterable[click.Option]:
    def keep(name: str) -> dict[str, Any]:
        def callback(_: click.Context, __: click.Parameter, value: Any) -> None:
            setattr(terminal, name, value)

        return {"callback": callback, "expose_value": False}

    if calls:
        yield option("--base-url", metavar="URL", multiple=True, **keep("base_urls"))
    # Eager: it takes effect even if another option is wrong.
    yield option("--json", is_flag=True, is_eager=True, **keep("as_json"))
    yield lang_option()
