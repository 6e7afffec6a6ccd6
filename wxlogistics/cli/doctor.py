"""`wxlogistics doctor`: what a newcomer trips over, step by step."""

from __future__ import annotations

import email.utils
import os
import re
import shutil
import time
import urllib.parse
from typing import Iterator, NamedTuple

import click
import requests
import requests.utils

from .._hosts import MAIN_URL
from ..client import Client
from ..errors import (
    AccessTokenError,
    ApiError,
    InvalidArgumentError,
    WxLogisticsError,
)
from .command import Command
from .messages import Say
from .terminal import (
    GOOD,
    NO_ANSWER,
    WRONG_USE,
    Terminal,
    cells,
    clean,
    explain,
    fold,
    pad,
)

#: In the order in which they are checked.
STEPS = ("variables", "host", "tls", "token", "permission", "clock")

_PATH = "/cgi-bin/express/delivery/open_msg/get_delivery_list"
_TIMEOUT = 5

#: A clock that is off by more seconds is worth a word.
_CLOCK_MAY_BE_OFF = 120


class Step(NamedTuple):
    """
    What one step found.

    Attributes:
        name: One of `STEPS`.

        is_good: None if it was not checked.

        found: What is so.

        advice: What to do about it.

        code: The exit code that a failure asks for.

        error: WeChat's refusal, if it was one.
    """

    name: str
    is_good: bool | None
    found: str
    advice: str = ""
    code: int = WRONG_USE
    error: Exception | None = None


def command(terminal: Terminal) -> click.Command:
    """
    Return the command.
    """

    def run() -> int:
        steps = []
        for step in examine(terminal):
            steps.append(step)
            if not terminal.as_json:
                _show(step, terminal.say)
        failed = [step for step in steps if step.is_good is False]
        if terminal.as_json:
            terminal.answer(
                {"ok": not failed, "steps": [_fields(step) for step in steps]}
            )
        elif failed:
            text = terminal.say("doctor.problems", count=len(failed))
            click.echo("\n" + click.style(text, fg="red", bold=True))
        else:
            text = terminal.say("doctor.all_good")
            click.echo("\n" + click.style(text, fg="green", bold=True))
        return failed[0].code if failed else GOOD

    return Command(
        terminal,
        "doctor",
        run,
        examples=[
            "wxlogistics doctor",
            "wxlogistics doctor --base-url http://127.0.0.1:8790",
        ],
    )


def _fields(step: Step) -> dict[str, object]:
    return {
        "step": step.name,
        "ok": step.is_good,
        "found": step.found,
        "advice": step.advice or None,
        "errcode": getattr(step.error, "errcode", None),
        "rid": getattr(step.error, "rid", None),
        "ip": getattr(step.error, "ip", None),
    }


def _show(step: Step, say: Say) -> None:
    signs = {True: ("✓", "green"), False: ("✗", "red"), None: ("–", "yellow")}
    sign, colour = signs[step.is_good]
    left = max(cells(say(f"doctor.{name}")) for name in STEPS)
    head = f"{click.style(sign, fg=colour, bold=True)} "
    head += pad(say(f"doctor.{step.name}"), left) + "  "
    width = max(min(shutil.get_terminal_size().columns, 100) - left - 4, 20)
    for text, mark in ((step.found, ""), (step.advice, "→ ")):
        for line in fold(mark + text, width) if text else []:
            click.echo(head + (click.style(line, fg="yellow") if mark else line))
            head = " " * (left + 4)


def examine(terminal: Terminal) -> Iterator[Step]:
    """
    Yield each step of the examination when it is done.
    """
    say = terminal.say
    variables = _variables(say)
    yield variables
    answer: Answer | None = None
    for step in _network(terminal):
        if isinstance(step, Step):
            yield step
        else:
            answer = step
    yield from _calls(terminal, variables.is_good is not False, answer)
    clock_off = answer.clock_off if answer else None
    if clock_off is None:
        yield Step("clock", None, say("doctor.skipped"))
    elif abs(clock_off) > _CLOCK_MAY_BE_OFF:
        found = say("doctor.clock_off", seconds=round(abs(clock_off)))
        yield Step("clock", False, found, say("doctor.set_clock"))
    else:
        # The server tells whole seconds.
        seconds = round(abs(clock_off)) + 1
        yield Step("clock", True, say("doctor.clock_good", seconds=seconds))


def _variables(say: Say) -> Step:
    def read(name: str) -> str:
        return os.environ.get(f"WXLOGISTICS_{name}", "").strip()

    token, appid, secret = map(read, ("ACCESS_TOKEN", "APPID", "SECRET"))
    if token:
        found = say("doctor.set", name="WXLOGISTICS_ACCESS_TOKEN")
        if appid:
            found += say("semicolon") + say("doctor.both")
        return Step("variables", True, found)
    values = {"WXLOGISTICS_APPID": appid, "WXLOGISTICS_SECRET": secret}
    missing = [name for name, value in values.items() if not value]
    if missing:
        found = say("doctor.not_set", names=say("comma").join(missing))
        return Step("variables", False, found, say("doctor.set_them"))
    if not re.fullmatch("wx[0-9a-f]{16}", appid):
        found = say("doctor.odd_appid", value=clean(appid))
        return Step("variables", False, found, say("doctor.copy_again"))
    if not re.fullmatch("[0-9a-f]{32}", secret):
        found = say("doctor.odd_secret", length=len(secret))
        return Step("variables", False, found, say("doctor.copy_again"))
    found = f"WXLOGISTICS_APPID {appid}" + say("comma")
    return Step("variables", True, found + say("doctor.set", name="WXLOGISTICS_SECRET"))


class Answer(NamedTuple):
    """
    What a host answered.

    Attributes:
        url: The host.

        clock_off: The seconds by which its clock is behind ours.
    """

    url: str
    clock_off: float | None


def _urls(terminal: Terminal) -> list[str]:
    urls = os.environ.get("WXLOGISTICS_BASE_URL", "").split(",")
    return list(terminal.base_urls) or [u.strip() for u in urls if u.strip()]


def _network(terminal: Terminal) -> Iterator[Step | Answer]:
    """
    Yield the steps host and TLS, and the first host that answers as WeChat does.
    """
    say = terminal.say
    urls = _urls(terminal) or [MAIN_URL]
    found, advice, tls = [], "", Step("tls", None, say("doctor.skipped"))
    answer = None
    for url in urls:
        probe = _probe(url, say)
        found.append(probe.found)
        advice = probe.advice
        tls = probe.tls or tls
        answer = probe.answer
        if answer:
            break
    good = answer is not None or tls.is_good is False
    yield Step(
        "host", good, say("semicolon").join(found), "" if good else advice, NO_ANSWER
    )
    yield tls
    if answer:
        yield answer


class _Probe(NamedTuple):
    found: str
    advice: str = ""
    tls: Step | None = None
    answer: Answer | None = None


def _probe(url: str, say: Say) -> _Probe:
    """
    Ask *url* what WeChat refuses to everybody: there is no token in it.
    """
    try:
        Client("none", base_url=url).close()
    except InvalidArgumentError:
        bad = say("doctor.bad_url", value=clean(url.rpartition("@")[2]))
        return _Probe(bad, say("doctor.url_like"))
    host = urllib.parse.urlsplit(url).netloc
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    proxy_name = urllib.parse.urlsplit(proxy or "").hostname

    def failed(key: str, **fields: object) -> _Probe:
        reason = say(key, **fields)
        found = say("doctor.unreached", host=host, reason=reason)
        return _Probe(found, say("doctor.check_network"))

    began = time.monotonic()
    try:
        with requests.Session() as session:
            response = session.post(
                url.rstrip("/") + _PATH,
                json={},
                timeout=_TIMEOUT,
                allow_redirects=False,
                # Not what ~/.netrc may have for this host.
                auth=lambda request: request,
            )
    except requests.exceptions.ProxyError:
        return failed("doctor.proxy", proxy=proxy_name)
    except requests.exceptions.SSLError as error:
        reason = re.search(r"verify failed: ([^(\n]*)", str(error))
        bad = say(
            "doctor.bad_certificate",
            host=host,
            reason=reason[1].strip() if reason else "SSL",
        )
        found = say("doctor.reached", host=host, ms=_since(began))
        return _Probe(found, tls=Step("tls", False, bad, say("doctor.check_tls"), 3))
    except requests.Timeout:
        return failed("doctor.timeout", seconds=_TIMEOUT)
    except requests.RequestException as error:
        said = str(error)
        if "resolve" in said or "getaddrinfo" in said:
            return failed("doctor.no_name")
        if "refused" in said:
            return failed("doctor.refused")
        return failed("doctor.broken")
    found = say("doctor.reached", host=host, ms=_since(began))
    if proxy_name:
        found += say("comma") + say("doctor.through", proxy=proxy_name)
    if url.startswith("https:"):
        tls = Step("tls", True, say("doctor.certificate", host=host))
    else:
        tls = Step("tls", None, say("doctor.no_tls"))
    errmsg = _errmsg(response)
    if errmsg is None:
        found = say("doctor.not_wechat", host=host, status=response.status_code)
        return _Probe(found, say("advice.unexpected"), tls)
    return _Probe(found, tls=tls, answer=Answer(url, _clock_off(response, errmsg)))


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _errmsg(response: requests.Response) -> str | None:
    """
    Return WeChat's errmsg; None if it was not WeChat who answered.
    """
    try:
        reply = response.json()
    except ValueError:
        return None
    if not isinstance(reply, dict) or "errcode" not in reply:
        return None
    return str(reply.get("errmsg"))


def _clock_off(response: requests.Response, errmsg: str) -> float | None:
    """
    Return by how many seconds this machine's clock is ahead of the server's.
    """
    try:
        date = email.utils.parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (LookupError, ValueError, TypeError):
        # The first part of a rid is the time.
        rid = re.search(r"rid: ?([0-9a-f]{8})-", errmsg)
        if not rid:
            return None
        date = int(rid[1], 16)
    return time.time() - date


def _calls(terminal: Terminal, is_set: bool, answer: Answer | None) -> Iterator[Step]:
    """
    Yield the steps token and permission, by one call that uses up next to nothing.
    """
    say = terminal.say
    skipped = say("doctor.skipped")
    if not is_set or answer is None:
        yield Step("token", None, skipped)
        yield Step("permission", None, skipped)
        return
    given = bool(os.environ.get("WXLOGISTICS_ACCESS_TOKEN", "").strip())
    token = Step("token", True, say("doctor.accepted" if given else "doctor.fetched"))
    try:
        with Client.from_env(base_url=answer.url, deadline=20) as client:
            count = len(client.get_delivery_list())
    except WxLogisticsError as error:
        code, title, rows = explain(error, say)
        failed = Step("permission", False, title, rows[-1][1], code, error)
        is_the_token = isinstance(error, AccessTokenError)
        if is_the_token or getattr(error, "endpoint", "") == "stable_token":
            yield failed._replace(name="token")
            yield Step("permission", None, skipped)
        else:
            # Refused for something else than the token.
            yield (
                token
                if isinstance(error, ApiError)
                else token._replace(is_good=None, found=skipped)
            )
            yield failed
    else:
        yield token
        yield Step("permission", True, say("doctor.permitted", count=count))
