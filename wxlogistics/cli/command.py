"""click's commands, with help in both languages and the options that all share."""

from __future__ import annotations

import difflib
import re
import shutil
import sys
from typing import Any, Callable, Iterable, Sequence

import click

from .messages import LANGUAGES, Say
from .terminal import Terminal, cells, fold, pad

#: What the environment may say, behind WXLOGISTICS_.
ENVIRONMENT = ("ACCESS_TOKEN", "APPID", "SECRET", "BASE_URL")

#: The widest that help gets.
_WIDEST = 100

#: The widest that the left column of a list gets.
_WIDEST_LEFT = 34


#: A file's name, which the shell completes; what is wrong with it is found later.
FILE = click.Path(readable=False)


class Enough(Exception):
    """
    Whoever reads what is printed has seen enough: ``wxlogistics carriers | head``.
    """


class Command(click.Command):
    """
    One command, whose help is in the terminal's language.

    Args:
        terminal: Whom it answers.

        name: Its name; its help is the message ``help.<name>``.

        callback: Does it, and returns the exit code.

        params: Its options and arguments; those that all have come behind them.

        examples: Command lines.

        calls: Whether it calls WeChat, so that it takes --base-url.
    """

    def __init__(
        self,
        terminal: Terminal,
        name: str,
        callback: Callable[..., int] | None = None,
        params: Iterable[click.Parameter] = (),
        *,
        help_key: str | None = None,
        examples: Sequence[str] = (),
        calls: bool = True,
        **options: Any,
    ) -> None:
        say = terminal.say
        self.terminal = terminal
        self.examples = examples
        super().__init__(
            name,
            callback=callback,
            params=[*params, *_shared(terminal, calls)],
            help=say(help_key or f"help.{name}"),
            options_metavar=say("help.options_metavar"),
            context_settings={"help_option_names": ["-h", "--help"]},
            **options,
        )

    def invoke(self, ctx: click.Context) -> Any:
        self.terminal.command = ctx.command_path
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            raise Enough from None
        return code

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        return _in_our_words(super().get_help_option(ctx), self.terminal.say)

    def get_help(self, ctx: click.Context) -> str:
        usage = " ".join([ctx.command_path, *self.collect_usage_pieces(ctx)])
        return _help(self, usage, [("help.options", option_rows(self, ctx))])


class Group(click.Group):
    """
    Several commands; tells them where none is named.
    """

    def __init__(
        self,
        terminal: Terminal,
        name: str,
        commands: Iterable[click.Command],
        *,
        params: Sequence[click.Parameter] = (),
        sections: Iterable[tuple[str, list[tuple[str, str]]]] = (),
        examples: Sequence[str] = (),
    ) -> None:
        self.terminal = terminal
        self.examples = examples
        self._sections = sections
        super().__init__(
            name,
            # In the order in which they are given, not by the alphabet.
            commands={str(command.name): command for command in commands},
            callback=self._tell,
            params=[*params, lang_option(terminal.say)],
            help=terminal.say(f"help.{name}"),
            context_settings={"help_option_names": ["-h", "--help"]},
            invoke_without_command=True,
            subcommand_metavar="",
        )

    @staticmethod
    def _tell() -> None:
        context = click.get_current_context()
        if context.invoked_subcommand is None:
            click.echo(context.get_help())

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        return _in_our_words(super().get_help_option(ctx), self.terminal.say)

    def get_help(self, ctx: click.Context) -> str:
        say = self.terminal.say
        rows = [
            (name, (command.help or "").split("\n")[0])
            for name, command in self.commands.items()
        ]
        usage = " ".join(
            [ctx.command_path, say("help.command_metavar"), say("help.options_metavar")]
        )
        sections = [("help.commands", rows), ("help.options", option_rows(self, ctx))]
        return _help(self, usage, [*sections, *self._sections])


def _in_our_words(option: click.Option | None, say: Say) -> click.Option | None:
    assert option is not None
    option.help = say("help.help")
    return option


def option(
    say: Say, names: str, key: str, *, metavar: str | None = None, **settings: Any
) -> click.Option:
    """
    Return an option whose help is the message *key*.
    """
    return click.Option(names.split(), help=say(key), metavar=metavar, **settings)


def lang_option(say: Say) -> click.Option:
    """
    Return --lang, which was obeyed before click began.
    """
    return option(
        say,
        "--lang",
        "help.lang",
        metavar="|".join(reversed(LANGUAGES)),
        type=Choice(say, LANGUAGES),
        expose_value=False,
    )


def _shared(terminal: Terminal, calls: bool) -> Iterable[click.Option]:
    def as_json(_: click.Context, __: click.Parameter, value: bool) -> None:
        terminal.as_json = value

    def base_url(_: click.Context, __: click.Parameter, value: Sequence[str]) -> None:
        terminal.base_urls = tuple(value)

    say = terminal.say
    if calls:
        yield option(
            say,
            "--base-url",
            "help.base_url",
            metavar="URL",
            multiple=True,
            callback=base_url,
            expose_value=False,
        )
    yield option(
        say,
        "--json",
        "help.json",
        is_flag=True,
        callback=as_json,
        expose_value=False,
        # Known even when another option is wrong.
        is_eager=True,
    )
    yield lang_option(say)


def option_rows(command: click.Command, ctx: click.Context) -> list[tuple[str, str]]:
    """
    Return the options of *command* with their help.
    """
    required: str = command.terminal.say("help.required")  # type: ignore[attr-defined]
    rows = []
    for param in command.get_params(ctx):
        if isinstance(param, click.Option) and not param.hidden:
            names = ", ".join(sorted(param.opts, key=len))
            if param.metavar:
                names += f" {param.metavar}"
            mark = required if param.required else ""
            rows.append((names, (param.help or "") + mark))
    return rows


def _help(
    command: Command | Group,
    usage: str,
    sections: Iterable[tuple[str, list[tuple[str, str]]]],
) -> str:
    say = command.terminal.say
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    lines = fold(say("help.usage") + say("colon") + usage, width)
    for paragraph in (command.help or "").split("\n"):
        lines += ["", *fold(paragraph, width)]
    if command.examples:
        lines += ["", say("help.examples") + say("colon").rstrip()]
        lines += [f"  $ {example}" for example in command.examples]
    for title, rows in sections:
        lines += ["", say(title) + say("colon").rstrip(), *_two_columns(rows, width)]
    return "\n".join(lines)


def _two_columns(rows: list[tuple[str, str]], width: int) -> Iterable[str]:
    left = min(max(cells(name) for name, _ in rows), _WIDEST_LEFT, width // 2)
    for name, text in rows:
        head = "  " + pad(name, left) + "  "
        if cells(name) > left:
            yield f"  {name}"
            head = " " * (left + 4)
        for line in fold(text, max(width - left - 4, 20)):
            yield head + line
            head = " " * (left + 4)


class Choice(click.Choice):  # type: ignore[type-arg]
    """
    One of a few words; says so in the terminal's language.
    """

    def __init__(self, say: Say, choices: Sequence[str]) -> None:
        self._say = say
        super().__init__(choices)

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        if value not in self.choices:
            comma = self._say("comma")
            problem = self._say(
                "use.choice", value=value, choices=comma.join(self.choices)
            )
            self.fail(problem, param, ctx)
        return str(value)


class Number(click.ParamType):  # type: ignore[type-arg]
    """
    A whole number from *least*; says so in the terminal's language.
    """

    name = "number"

    def __init__(self, say: Say, least: int | None = None) -> None:
        self._say = say
        self._least = least

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        try:
            number = int(str(value))
        except ValueError:
            self.fail(self._say("use.number", value=value), param, ctx)
        if self._least is not None and number < self._least:
            problem = self._say("use.range", value=value, least=self._least)
            self.fail(problem, param, ctx)
        return number


_NO_COMMAND = re.compile(r"No such command '(.*)'\.")
_TOO_MANY = re.compile(r"Got unexpected extra arguments? \((.*)\)")


def usage_problem(error: click.ClickException, say: Say) -> str:
    """
    Return what is wrong with a command line, in the terminal's language.

    What click says otherwise stays in English.
    """
    command: Any = getattr(getattr(error, "ctx", None), "command", None)
    if isinstance(error, click.NoSuchOption):
        names = [name for param in command.params for name in param.opts]
        problem = say("use.no_option", name=error.option_name)
        return problem + _perhaps(error.option_name, names, say)
    if isinstance(error, click.MissingParameter) and error.param:
        return say("use.missing", name=_name(error.param))
    if isinstance(error, click.BadParameter) and error.param:
        return say("use.bad", name=_name(error.param), problem=error.message)
    if isinstance(error, click.BadOptionUsage):
        has_one = "does not take a value" in error.message
        key = "use.takes_none" if has_one else "use.needs_value"
        return say(key, name=error.option_name)
    found = _NO_COMMAND.match(error.message)
    if found:
        problem = say("use.no_command", name=found[1])
        return problem + _perhaps(found[1], [*command.commands], say)
    found = _TOO_MANY.match(error.message)
    if found:
        return say("use.too_many", extra=found[1])
    return error.format_message().rstrip(".")


def _perhaps(name: str, names: list[str], say: Say) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return say("use.perhaps", name=near[0]) if near else ""


def _name(param: click.Parameter) -> str:
    if isinstance(param, click.Option):
        return param.opts[-1]
    return (param.metavar or str(param.name).upper()).strip("[]")
