"""The `wxlogistics` command."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import IO, Any, Sequence

import click
from click.shell_completion import CompletionItem

from .._version import __version__
from ..errors import WxLogisticsError
from . import carriers, waybills
from .command import (
    ENVIRONMENT,
    Command,
    Enough,
    Group,
    option,
    usage_problem,
)
from .messages import Problem, Say, choose_language
from .terminal import (
    GOOD,
    INTERRUPTED,
    REFUSED,
    Terminal,
    error_fields,
    note,
    silence,
    unusable,
)

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command and return its exit code.

    Args:
        argv: The command line behind the command's name; None takes the process's.
    """
    if sys.stderr is None:
        # Closed (2>&-): the work is done all the same.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            return main(argv)
    argv = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        # Better a question mark than a traceback where ✓ cannot be written.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    say = Say(choose_language(argv, os.environ))
    terminal = Terminal(say, "--json" in argv)
    if sys.stdout is None:
        # Closed (>&-): a waybill_token would be lost.
        return terminal.fail(unusable("stdout", errno.EBADF))
    try:
        code = commands(terminal).main(
            args=argv, prog_name="wxlogistics", standalone_mode=False
        )
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        terminal.command = context.command_path if context else "wxlogistics"
        return terminal.fail(Problem("as_is", text=usage_problem(error, say)))
    except (Problem, WxLogisticsError) as error:
        return terminal.fail(error)
    except Enough:
        # Python is not to complain at its end.
        silence(sys.stdout)
        return GOOD
    except OSError as error:
        # Such as a full disk behind stdout.
        if error.filename is None:
            silence(sys.stdout)
        return terminal.fail(unusable(error.filename or "stdout", error.errno))
    except (click.Abort, KeyboardInterrupt):
        text = say("error.interrupted")
        fields = error_fields(Problem("as_is"), text)
        terminal.answer_failed({**fields, "type": "Interrupted"})
        note(text)
        return INTERRUPTED
    return int(code or GOOD)


def commands(terminal: Terminal) -> Group:
    """
    Return all commands, in the language of *terminal*.
    """
    from . import bulk, doctor, errcodes

    say = terminal.say
    return Group(
        terminal,
        "wxlogistics",
        [
            *waybills.commands(terminal),
            carriers.command(terminal),
            bulk.command(terminal),
            doctor.command(terminal),
            errcodes.command(terminal),
            _demo(terminal),
            _sandbox(terminal),
        ],
        params=[_version(say)],
        sections=[
            (
                "help.environment",
                [
                    (f"WXLOGISTICS_{name}", say(f"help.env.{name.lower()}"))
                    for name in ENVIRONMENT
                ],
            ),
            (
                "help.exit_codes",
                [(str(code), say(f"help.exit.{code}")) for code in range(4)],
            ),
        ],
        examples=[
            "wxlogistics doctor",
            "wxlogistics query WAYBILL_TOKEN",
            "wxlogistics bulk query tokens.csv",
        ],
    )


def _version(say: Say) -> click.Option:
    def tell(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            click.echo(f"wxlogistics, version {__version__}")
            context.exit()

    return option(
        say,
        "--version",
        "help.version",
        is_flag=True,
        callback=tell,
        expose_value=False,
        is_eager=True,
    )


def _demo(terminal: Terminal) -> click.Command:
    def run() -> int:
        from ..demo import play
        from .views import PipedConsole

        failures = play(terminal.say, PipedConsole(quiet=terminal.as_json))
        if terminal.as_json:
            terminal.answer({"ok": not failures, "failures": failures})
        return REFUSED if failures else GOOD

    return Command(terminal, "demo", run, examples=["wxlogistics demo"], calls=False)


class _Told(io.StringIO):
    """
    Tells a program as JSON what the sandbox tells a person line by line.
    """

    def __init__(self, terminal: Terminal, stdout: IO[str]) -> None:
        super().__init__()
        self._terminal = terminal
        self._stdout = stdout
        self.has_told = False

    def flush(self) -> None:
        told = dict(line.split(": ", 1) for line in self.getvalue().splitlines())
        self.truncate(0)
        self.seek(0)
        with contextlib.redirect_stdout(self._stdout):
            if told:
                self.has_told = True
                self._terminal.answer({"ok": True, **told})


class _Heard(io.StringIO):
    """
    Keeps what is said on stderr, and says it.
    """

    def __init__(self, stderr: IO[str]) -> None:
        super().__init__()
        self._stderr = stderr

    def write(self, text: str) -> int:
        self._stderr.write(text)
        return super().write(text)


class _Sandbox(click.Command):
    """
    A command whose options click does not know; a file may stand behind one of them.
    """

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


def _sandbox(terminal: Terminal) -> click.Command:
    @click.pass_context
    def run(context: click.Context) -> Any:
        # Its options stand in one place, since `python -m wxlogistics.sandbox` takes
        # them too, and works without click.
        from ..sandbox.server import main as serve

        if not terminal.as_json:
            return serve(context.args)
        args = [arg for arg in context.args if arg != "--json"]
        told, heard = _Told(terminal, sys.stdout), _Heard(sys.stderr)
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(heard):
            try:
                code: Any = serve(args)
            except SystemExit as exit:
                code = exit.code
        if code and not told.has_told:
            text = heard.getvalue().strip().removeprefix("wxlogistics sandbox: ")
            terminal.answer_failed(error_fields(Problem("as_is"), text))
        return code

    return _Sandbox(
        "sandbox",
        callback=run,
        help=terminal.say("help.sandbox"),
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
