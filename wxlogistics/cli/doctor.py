"""`wxlogistics doctor`: checks the setup step by step."""

from __future__ import annotations

import email.utils
import os
import re
import time
import urllib.parse
from typing import Any, Iterator, NamedTuple

import click
import requests
import requests.utils

from .. import MAIN_URL, errors
from .._private import masked
from ..client import Client
from . import output
from .command import Command
from .language import listed, plural, say

#: In the order in which they are checked.
STEPS = ("variables", "host", "tls", "token", "permission", "clock")

#: Seconds for the check of one host.
_TIMEOUT = 5

#: Seconds by which a clock may be off.
_CLOCK_MAY_BE_OFF = 120

#: The variables of a proxy, of which each may be in capital letters.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

#: Patterns of the reason why a host cannot be reached, and what is said instead.
_REASONS = {
    "resolve|not known|nodename|getaddrinfo": "the host name cannot be resolved (DNS)",
    "refused": "connection refused",
    "timed out|no answer|deadline": "no answer in time",
    "broke": "the connection broke",
    "SOCKS support": "pip install 'requests[socks]' for a proxy with SOCKS",
}


class Step(NamedTuple):
    """
    The result of one check.

    Attributes:
        name: One of `STEPS`.

        is_good: None if it was not checked.

        found: What was found.

        advice: What to do about it.

        code: The exit code if it failed.

        error: WeChat's refusal, if it was one.
    """

    name: str
    is_good: bool | None = None
    found: str = ""
    advice: str = ""
    code: int = output.WRONG_USE
    error: Exception | None = None


def command(terminal: output.Terminal) -> click.Command:
    """
    Return the command.
    """

    def run() -> int:
        steps = []
        for step in examine(terminal):
            found = masked(step.found or say("not checked"))
            steps.append(step._replace(found=found, advice=masked(step.advice)))
            if not terminal.as_json:
                _show(steps[-1])
        failed = [step for step in steps if step.is_good is False]
        if terminal.as_json:
            output.answer({"ok": not failed, "steps": [*map(_fields, steps)]})
        else:
            text = plural("{count} problem.", "{count} problems.", len(failed))
            text = text if failed else say("Everything is fine.")
            colour = "red" if failed else "green"
            output.echo("\n" + click.style(text, fg=colour, bold=True))
        return failed[0].code if failed else output.GOOD

    command = "wxlogistics doctor"
    examples = [command, f"{command} --base-url http://127.0.0.1:8790"]
    return Command(terminal, "doctor", run, examples=examples)


def _fields(step: Step) -> dict[str, object]:
    fields = {"step": step.name, "ok": step.is_good, "found": step.found}
    more = {name: getattr(step.error, name, None) for name in ("errcode", "rid", "ip")}
    return {**fields, "advice": step.advice or None, **more}


def _show(step: Step) -> None:
    signs = {True: ("✓", "green"), False: ("✗", "red"), None: ("–", "yellow")}
    sign, colour = signs[step.is_good]
    left = max(output.cells(say(f"[{name}]")) for name in STEPS)
    head = click.style(sign, fg=colour, bold=True)
    head += " " + output.pad(say(f"[{step.name}]"), left) + "  "
    advice = click.style(f"→ {step.advice}", fg="yellow") if step.advice else ""
    output.echo(f"{step.found}\n{advice}".rstrip(), head=head)


def examine(terminal: output.Terminal) -> Iterator[Step]:
    """
    Yield the result of each check when it is there.
    """
    variables = _variables()
    yield variables
    found, tls = [], Step("tls")
    for url in terminal.base_urls or base_urls():
        host, tls_, clock_off = _reach(url)
        found.append(host.found)
        tls = tls_ or tls
        if host.is_good:
            break
    # It was reached, if only its certificate is bad.
    good = host.is_good or tls.is_good is False
    advice = "" if good else host.advice
    yield host._replace(is_good=good, found="\n".join(found), advice=advice)
    yield tls
    if variables.is_good and host.is_good:
        yield from _calls(url)
    else:
        yield Step("token")
        yield Step("permission")
    if clock_off is None:
        yield Step("clock")
        return
    off = round(abs(clock_off))
    if off > _CLOCK_MAY_BE_OFF:
        text = say("{seconds} s off the server's", seconds=off)
        yield Step("clock", False, text, say("[clocks differ]"))
    else:
        # The server's time has whole seconds.
        text = say("within {seconds} s of the server's", seconds=off + 1)
        yield Step("clock", True, text)


def _variables() -> Step:
    names = ("ACCESS_TOKEN", "APPID", "SECRET")
    values = (os.environ.get(f"WXLOGISTICS_{name}", "") for name in names)
    token, appid, secret = map(str.strip, values)
    if token:
        found = say("{name} (not shown)", name="WXLOGISTICS_ACCESS_TOKEN")
        if appid:
            found = listed([found, say("WXLOGISTICS_APPID is not used then")])
        return Step("variables", True, found)
    given = {"WXLOGISTICS_APPID": appid, "WXLOGISTICS_SECRET": secret}
    missing = [name for name, value in given.items() if not value]
    if missing:
        found = say("not set: {names}", names=listed(missing))
        return Step("variables", False, found, say("[set the variables]"))
    for name, pattern in zip(given, ("wx[0-9a-f]{16}", "[0-9a-f]{32}")):
        if not re.fullmatch(pattern, given[name]):
            found = say(f"[odd {name}]", length=len(given[name]))
            return Step("variables", False, found, say("[copy it again]"))
    shown = say("{name} (not shown)", name="WXLOGISTICS_SECRET")
    return Step("variables", True, listed([f"WXLOGISTICS_APPID {appid}", shown]))


def base_urls() -> list[str]:
    """
    Return the addresses that the environment names, or WeChat's.
    """
    urls = os.environ.get("WXLOGISTICS_BASE_URL", "").split(",")
    return [url.strip() for url in urls if url.strip()] or [MAIN_URL]


def _proxy(url: str) -> str:
    """
    Return by which proxy *url* is reached and which variable names it, as a part of a
    sentence.
    """
    values = {k: v for k, v in os.environ.items() if v and k.lower() in _PROXIES}
    proxies = requests.utils.get_environ_proxies(url)
    proxy = requests.utils.select_proxy(url, proxies)
    if proxy:
        name = next((name for name, value in values.items() if value == proxy), "")
        # Without a scheme, or with one.
        host = proxy.rpartition("//")[2].rpartition("@")[2].partition("/")[0]
        return say(", through the proxy {proxy} ({name})", proxy=host, name=name)
    skipping = [name for name in values if name.lower() == "no_proxy"]
    if len(values) > len(skipping) > 0 and not proxies:
        return say(", without a proxy ({name})", name=skipping[0])
    return ""


def _reach(url: str) -> tuple[Step, Step | None, float | None]:
    """
    Make a call with a token that cannot be, which WeChat refuses.

    Returns:
        The results for the host and its certificate, and the seconds by which this
        machine's clock is ahead of its.
    """
    session = requests.Session()
    # Not what ~/.netrc has for this host.
    session.auth = lambda request: request
    dates: list[str] = []
    hooks: list[Any] = session.hooks["response"]
    hooks.append(lambda got, **_: dates.append(got.headers.get("Date", "")))
    options: Any = {"timeout": _TIMEOUT, "deadline": _TIMEOUT, "retries": 0}
    try:
        client = Client("none", base_url=url, session=session, **options)
    except errors.InvalidArgumentError:
        found = say("not a base URL (not shown)")
        return _host(False, found, say("[like a base URL]")), None, None
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    proxy = _proxy(url)
    tls = Step("tls", None, say("not used: for a sandbox only"))
    if parts.scheme == "https":
        tls = Step("tls", True, say("the certificate of {host} is trusted", host=host))
    began = time.monotonic()
    # WeChat refuses this token: a success is another program's.
    status = 200
    try:
        with session:
            client.get_delivery_list()
    except errors.ApiError as error:
        answered = _host(True, _answered(host, began) + proxy)
        return answered, tls, _clock_off(dates[0], error.rid)
    except errors.UnexpectedResponseError as error:
        status = error.status
    except errors.TransportError as error:
        # The proxy is named with its variable.
        reason = re.sub(r"^no connection to .*?: |\.$", "", output.clean(error.reason))
        if re.search("certificate|SSL", error.reason):
            text = say("[bad certificate]", host=host, reason=reason)
            tls = Step("tls", False, text, say("[check TLS]"), output.NO_ANSWER)
            return _host(False, _answered(host, began)), tls, None
        for pattern, text in _REASONS.items():
            reason = say(text) if re.search(pattern, error.reason) else reason
        found = say("{host}: {reason}", host=host, reason=reason + proxy)
        return _host(False, found, say("[check the network]")), None, None
    text = say("[not like WeChat]", host=host, status=status)
    return _host(False, text, say("[not WeChat]")), tls, None


def _host(is_good: bool, found: str, advice: str = "") -> Step:
    return Step("host", is_good, found, advice, output.NO_ANSWER)


def _clock_off(date: str, rid: str | None) -> float | None:
    """
    Return by how many seconds this machine's clock is ahead of the server's.
    """
    try:
        return time.time() - email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        # The first part of a rid is the time.
        found = re.match("[0-9a-f]{8}-", rid or "")
        return time.time() - int(found[0][:8], 16) if found else None


def _answered(host: str, began: float) -> str:
    ms = round((time.monotonic() - began) * 1000)
    return say("{host} answered in {ms} ms", host=host, ms=ms)


def _calls(url: str) -> Iterator[Step]:
    """
    Yield the checks of token and permission, by one call of get_delivery_list.
    """
    given = os.environ.get("WXLOGISTICS_ACCESS_TOKEN", "").strip()
    token = Step("token", True, say("[token accepted]" if given else "[token fetched]"))
    try:
        with Client.from_env(base_url=url, deadline=20) as client:
            count = len(client.get_delivery_list())
    except errors.WxLogisticsError as error:
        code, title, rows = output.explain(error)
        failed = Step("permission", False, title, rows[-1][1], code, error)
        is_the_token = isinstance(error, errors.AccessTokenError)
        if is_the_token or getattr(error, "endpoint", "") == "stable_token":
            yield failed._replace(name="token")
            yield Step("permission")
        else:
            # Refused, but not for the token.
            yield token if isinstance(error, errors.ApiError) else Step("token")
            yield failed
    else:
        yield token
        text = say("the logistics API is open ({count} carriers)", count=count)
        yield Step("permission", True, text)
