"""click's commands with this command's help format and shared options."""

from __future__ import annotations

import re
import sys
from typing import Any, Callable, Iterable, Sequence

import click

from .language import LANGUAGES, is_chinese, say
from .output import Problem, Terminal, cells, fold, pad, width

#: A file's name, which the shell completes; errors are reported where it is opened.
FILE = click.Path(readable=False)

#: One waybill_token in 64 begins with a hyphen.
_TOKEN = re.compile(r"-[\w-]{19,}")

_WIDEST_LEFT = 34


class Enough(Exception):
    """
    The reader of stdout has closed it: ``wxlogistics carriers | head``.
    """


class Formatter(click.HelpFormatter):
    """
    Writes help in columns of a terminal, where a Chinese character takes two.
    """

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__(width=width())

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        self.write("\n".join(fold(f"{say('Usage:')} {prog} {args}", self.width)) + "\n")

    def write_heading(self, heading: str) -> None:
        self.write(heading + ("：" if is_chinese() else ":") + "\n")

    def write_text(self, text: str) -> None:
        # Paragraphs of their own, as click writes one after "\n\n".
        for paragraph in text.split("\n"):
            indented = paragraph.startswith(" ")
            lines = [paragraph] if indented else fold(paragraph, self.width)
            self.write("\n".join(lines) + "\n")

    def write_dl(
        self,
        rows: Iterable[tuple[str, str]],
        col_max: int = _WIDEST_LEFT,
        col_spacing: int = 2,
    ) -> None:
        rows = list(rows)
        left = max(cells(name) for name, _ in rows)
        left = min(left, col_max, self.width // 2)
        blank = " " * (left + 4)
        for name, text in rows:
            head = f"  {pad(name, left)}  "
            if cells(name) > left:
                self.write(f"  {name}\n")
                head = blank
            for line in fold(text, max(self.width - left - 4, 20)):
                self.write(f"{head}{line}".rstrip() + "\n")
                head = blank


class Context(click.Context):
    """
    Formats help with `Formatter`.
    """

    formatter_class = Formatter


class Command(click.Command):
    """
    One command.

    Args:
        terminal: How the command was called.

        name: Its name.

        text: Its help, in English.

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
        text: str,
        run: Callable[..., int],
        params: Iterable[click.Parameter] = (),
        *,
        examples: Sequence[str] = (),
        calls: bool = True,
        context_settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            name,
            callback=run,
            params=[*params, *_shared(terminal, calls)],
            help=say(text),
            epilog=_examples(examples),
            options_metavar=say("[OPTIONS]"),
            context_settings={
                "help_option_names": ["-h", "--help"],
                **(context_settings or {}),
            },
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """
        Take what looks like a waybill_token as an argument, also if it begins with -.
        """
        if any(map(_TOKEN.fullmatch, args)) and "--" not in args:
            takes_value = {
                name
                for param in self.params
                if isinstance(param, click.Option) and not param.is_flag
                for name in param.opts
            }
            found = [
                word
                for before, word in zip(["", *args], args)
                if _TOKEN.fullmatch(word) and before not in takes_value
            ]
            args = [*(word for word in args if word not in found), "--", *found]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            raise Enough from None
        except Problem as problem:
            # So that the message names the command whose help explains it.
            problem.ctx = ctx
            raise
        return code


class Group(click.Group):
    """
    Several commands; prints its help if none is named.
    """

    context_class = Context

    def __init__(
        self,
        name: str,
        text: str,
        commands: Iterable[click.Command],
        *,
        params: Sequence[click.Parameter] = (),
        sections: Iterable[tuple[str, list[tuple[str, str]]]] = (),
        examples: Sequence[str] = (),
    ) -> None:
        self._sections = sections
        super().__init__(
            name,
            # In the order in which they are given, not by the alphabet.
            commands={str(command.name): command for command in commands},
            callback=self._help,
            params=[*params, lang_option()],
            help=say(text),
            epilog=_examples(examples),
            context_settings={"help_option_names": ["-h", "--help"]},
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


def option(names: str, text: str, **settings: Any) -> click.Option:
    """
    Return an option with its help, which is given in English.
    """
    return click.Option(names.split(), help=say(text), **settings)


def lang_option() -> click.Option:
    """
    Return --lang, which takes effect before click begins.
    """
    return option(
        "--lang",
        "The language of all messages; by default that of the locale.",
        type=click.Choice(LANGUAGES),
        expose_value=False,
    )


def _shared(terminal: Terminal, calls: bool) -> Iterable[click.Option]:
    def as_json(_: click.Context, __: click.Parameter, value: bool) -> None:
        terminal.as_json = value

    def base_url(_: click.Context, __: click.Parameter, value: Sequence[str]) -> None:
        terminal.base_urls = tuple(value)

    if calls:
        yield option(
            "--base-url",
            "WeChat's address: a sandbox, for example. Several are tried in turn.",
            metavar="URL",
            multiple=True,
            callback=base_url,
            expose_value=False,
        )
    yield option(
        "--json",
        "Print one JSON object, for programs.",
        is_flag=True,
        callback=as_json,
        expose_value=False,
        # Takes effect even if another option is wrong.
        is_eager=True,
    )
    yield lang_option()
