"""The command line: `wxlogistics demo` and `wxlogistics sandbox`."""

from __future__ import annotations

from typing import Sequence

import click

from ._version import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wxlogistics")
def wxlogistics() -> None:
    """
    WeChat's mini-program logistics plugin (物流查询插件) from the command line.
    """


@wxlogistics.command()
def demo() -> int:
    """
    Show the document's own example, end to end on this machine.

    Starts a sandbox on a free port of the loopback, registers a waybill through the
    real client over HTTP, lets the parcel move, changes its goods, and shows how a
    refusal is caught. Nothing leaves this machine.
    """
    from .demo import run

    return run()


@wxlogistics.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def sandbox(context: click.Context) -> int:
    """
    Serve a local imitation of WeChat over HTTP.
    """
    # Its options stand in one place, since `python -m wxlogistics.sandbox` takes them
    # too, and works without click.
    from .sandbox.server import main as serve

    return serve(context.args)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command and return its exit code.
    """
    try:
        code = wxlogistics.main(
            args=None if argv is None else list(argv),
            prog_name="wxlogistics",
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return int(code or 0)
