"""`wxlogistics probe`: compares the real WeChat with the sandbox."""

from __future__ import annotations

import os
import re
import sys
import urllib.parse
from typing import Iterator, Sequence

import click
import requests

from .. import WECHAT_URLS, __version__
from .._private import masked, private_values
from ..probe import CALLS, Answer, differences, make
from . import output
from .command import FILE, Command, option
from .doctor import base_urls
from .language import labelled, say, speak


def command(terminal: output.Terminal) -> click.Command:
    """
    Return the command.
    """

    def run(yes: bool, report: str) -> int:
        from ..sandbox import Sandbox

        url = (terminal.base_urls or base_urls())[0].rstrip("/")
        if not yes:
            _ask(masked(str(urllib.parse.urlsplit(url).hostname)))
        is_new = not os.path.lexists(report)
        _write(report, "")
        if is_new:
            os.remove(report)
        with terminal.client() as client:
            found = _all(url, client.access_token())
        sandbox = Sandbox()
        with sandbox.serve() as server:
            # A proxy of the environment does not lead to this machine.
            known = _all(server.url, sandbox.access_token(), trust_env=False)
        with speak("en"):
            name = "WeChat" if url in WECHAT_URLS else "a test server"
            text = f"## wxlogistics {__version__} probe of {name}\n\n"
            for line in compared(found, known):
                text += re.sub("^( *)", r"\1- ", line) + "\n"
        if terminal.as_json:
            calls = []
            for call, real, ours in zip(CALLS, found, known):
                fields = {"same": real == ours, "wechat": real, "sandbox": ours}
                calls.append({"endpoint": call.endpoint, "what": call.what, **fields})
            output.answer({"ok": found == known, "calls": calls, "report": report})
        else:
            for line in [*compared(found, known), say("[probe: report]", path=report)]:
                output.echo(output.clean(line))
        _write(report, text)
        return output.GOOD if found == known else output.REFUSED

    path = option("--report", metavar="FILE", type=FILE, default="wxlogistics-probe.md")
    examples = ["wxlogistics probe", "wxlogistics probe --yes --json"]
    params = [option("--yes", is_flag=True), path]
    return Command(terminal, "probe", run, params, examples=examples)


def _ask(host: str) -> None:
    """
    Say which calls will be made, and ask whether to make them.
    """
    if not (sys.stdin and sys.stdin.isatty()):
        raise output.Problem("[probe: say yes]")
    output.note(say("[probe: calls]", host=host))
    for what, endpoint in [("[probe: token]", "stable_token"), *(c[:2] for c in CALLS)]:
        output.note(f"  {labelled(endpoint, say(what))}")
    if not click.confirm(say("Make these calls?"), err=True):
        raise output.Problem("no call was made")


def _write(path: str, text: str) -> None:
    """
    Write the report; an empty one tries whether it can be written.
    """
    try:
        with open(path, "a" if not text else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise output.unusable(path, error.errno) from None


def _all(url: str, token: str, trust_env: bool = True) -> list[Answer]:
    private = private_values()
    with requests.Session() as session:
        session.trust_env = trust_env
        return [make(session, call, url, token, private) for call in CALLS]


def compared(found: Sequence[Answer], known: Sequence[Answer]) -> Iterator[str]:
    """
    Yield a line for each call, and how the two answers differ.
    """
    for call, real, ours in zip(CALLS, found, known):
        sign, verdict = ("✓", "same") if real == ours else ("✗", "different")
        yield f"{sign} {say(verdict)}  {labelled(call.endpoint, say(call.what))}"
        for name, one, other in differences(real, ours):
            yield f"  {labelled(say(name), say(one))}"
            yield f"  {labelled(say('{name}, sandbox', name=say(name)), say(other))}"
