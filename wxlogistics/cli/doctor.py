"""`wxlogistics doctor`: checks the setup step by step."""

from __future__ import annotations

import email.utils
import os
import re
import time
import urllib.parse
from typing import Iterator, NamedTuple

import click
import requests
import requests.utils

from .. import MAIN_URL
from ..client import Client
from ..errors import AccessTokenError, ApiError, InvalidArgumentError, WxLogisticsError
from .command import Command
from .language import listed, plural, say
from .output import (
    GOOD,
    NO_ANSWER,
    NOT_WECHAT,
    WRONG_USE,
    Terminal,
    answer,
    cells,
    clean,
    echo,
    explain,
    fold,
    pad,
    width,
)

#: In the order in which they are checked.
STEPS = ("variables", "host", "TLS", "token", "permission", "clock")

_PATH = "/cgi-bin/express/delivery/open_msg/get_delivery_list"
_TIMEOUT = 5

#: Seconds by which a clock may be off.
_CLOCK_MAY_BE_OFF = 120

#: The environment variables of a proxy, as urllib and requests read them.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


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
            step = step._replace(found=masked(step.found), advice=masked(step.advice))
            steps.append(step)
            if not terminal.as_json:
                _show(step)
        failed = [step for step in steps if step.is_good is False]
        if terminal.as_json:
            answer({"ok": not failed, "steps": [_fields(step) for step in steps]})
        elif failed:
            text = plural("{count} problem.", "{count} problems.", len(failed))
            echo("\n" + click.style(text, fg="red", bold=True))
        else:
            echo("\n" + click.style(say("Everything is fine."), fg="green", bold=True))
        return failed[0].code if failed else GOOD

    return Command(
        terminal,
        "doctor",
        "Check the setup step by step, with advice on each problem.",
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


def _show(step: Step) -> None:
    signs = {True: ("✓", "green"), False: ("✗", "red"), None: ("–", "yellow")}
    sign, colour = signs[step.is_good]
    left = max(cells(say(name)) for name in STEPS)
    head = f"{click.style(sign, fg=colour, bold=True)} {pad(say(step.name), left)}  "
    for text, mark in ((step.found, ""), (step.advice, "→ ")):
        for line in fold(mark + text, max(width() - left - 4, 20)) if text else []:
            echo(head + (click.style(line, fg="yellow") if mark else line))
            head = " " * (left + 4)


def masked(text: str) -> str:
    """
    Return *text* without anything that may be a secret, wherever it was put.
    """
    values = []
    for name, value in os.environ.items():
        if name.startswith("WXLOGISTICS_") and len(value.strip()) >= 8:
            is_appid = re.fullmatch("wx[0-9a-f]{16}", value.strip())
            is_url = re.fullmatch(r"https?://[\w.:-]+/?", value.strip())
            if not (is_appid or is_url):
                values.append(value.strip())
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "***")
    return re.sub(r"(?<![\w-])([0-9A-Fa-f]{32}|[\w-]{48,})(?![\w-])", "***", text)


def examine(terminal: Terminal) -> Iterator[Step]:
    """
    Yield the result of each check when it is there.
    """
    variables = _variables()
    yield variables
    reached: Host | None = None
    found, tls = [], Step("TLS", None, say("not checked"))
    for url in _urls(terminal):
        reached = _reach(url)
        found.append(reached.found)
        tls = reached.tls or tls
        if reached.is_wechat:
            break
    assert reached
    good = reached.is_wechat or tls.is_good is False
    advice = "" if good else reached.advice
    yield Step("host", good, "\n".join(found), advice, NO_ANSWER)
    yield tls
    yield from _calls(variables.is_good is not False, reached)
    off = reached.clock_off
    if off is None:
        yield Step("clock", None, say("not checked"))
    elif abs(off) > _CLOCK_MAY_BE_OFF:
        text = say("{seconds} s off the server's", seconds=round(abs(off)))
        yield Step("clock", False, text, say("Set this machine's clock, best by NTP."))
    else:
        # The server's time has whole seconds.
        seconds = round(abs(off)) + 1
        text = say("within {seconds} s of the server's", seconds=seconds)
        yield Step("clock", True, text)


def _variables() -> Step:
    def read(name: str) -> str:
        return os.environ.get(f"WXLOGISTICS_{name}", "").strip()

    token, appid, secret = map(read, ("ACCESS_TOKEN", "APPID", "SECRET"))
    if token:
        found = [say("{name} (not shown)", name="WXLOGISTICS_ACCESS_TOKEN")]
        if appid:
            found.append(
                say(
                    "WXLOGISTICS_APPID is not used, since WXLOGISTICS_ACCESS_TOKEN is set"
                )
            )
        return Step("variables", True, listed(found))
    values = {"WXLOGISTICS_APPID": appid, "WXLOGISTICS_SECRET": secret}
    missing = [name for name, value in values.items() if not value]
    again = say("Copy it from WeChat's console again, without quotes or spaces.")
    if missing:
        text = plural(
            "not set: {names}", "not set: {names}", len(missing), names=listed(missing)
        )
        advice = say(
            "WeChat's console (mp.weixin.qq.com) shows the appid and makes the AppSecret, "
            "under development settings. Set both in the environment, best from a file "
            "that only you can read."
        )
        return Step("variables", False, text, advice)
    if not re.fullmatch("wx[0-9a-f]{16}", appid):
        text = (
            "WXLOGISTICS_APPID is not wx and 16 hex digits; it has {length} characters"
        )
        if re.fullmatch("[0-9a-f]{32}", appid):
            text = "WXLOGISTICS_APPID holds what looks like an AppSecret"
        return Step("variables", False, say(text, length=len(appid)), again)
    if not re.fullmatch("[0-9a-f]{32}", secret):
        text = "WXLOGISTICS_SECRET is not 32 hex digits; it has {length} characters"
        return Step("variables", False, say(text, length=len(secret)), again)
    found = [
        f"WXLOGISTICS_APPID {appid}",
        say("{name} (not shown)", name="WXLOGISTICS_SECRET"),
    ]
    return Step("variables", True, listed(found))


def _urls(terminal: Terminal) -> list[str]:
    urls = os.environ.get("WXLOGISTICS_BASE_URL", "").split(",")
    given = list(terminal.base_urls) or [url.strip() for url in urls if url.strip()]
    return given or [MAIN_URL]


class Host(NamedTuple):
    """
    What one host answered.

    Attributes:
        url: Its address.

        found: What was found.

        advice: What to do about it.

        tls: The result of the check of its certificate.

        is_wechat: Whether it answered as WeChat does.

        clock_off: The seconds by which this machine's clock is ahead of its.
    """

    url: str
    found: str
    advice: str = ""
    tls: Step | None = None
    is_wechat: bool = False
    clock_off: float | None = None


def _proxy(url: str) -> tuple[str | None, str]:
    """
    Return the host of the proxy that leads to *url*, and the variable that is to blame.
    """
    proxies = requests.utils.get_environ_proxies(url)
    proxy = requests.utils.select_proxy(url, proxies)
    for name in (each for base in _PROXIES for each in (base, base.upper())):
        if proxy and os.environ.get(name) == proxy:
            return urllib.parse.urlsplit(_with_scheme(proxy)).hostname, name
    if not proxies and any(os.environ.get(name) for name in ("no_proxy", "NO_PROXY")):
        if any(
            os.environ.get(each) for base in _PROXIES for each in (base, base.upper())
        ):
            return None, "no_proxy" if os.environ.get("no_proxy") else "NO_PROXY"
    return urllib.parse.urlsplit(_with_scheme(proxy or "")).hostname, ""


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _reach(url: str) -> Host:
    """
    Make a call without a token, which WeChat answers with a refusal.
    """
    try:
        Client("none", base_url=url).close()
    except InvalidArgumentError:
        advice = say("Give a scheme and a host: https://api.weixin.qq.com")
        return Host(url, say("not a base URL (not shown)"), advice)
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    proxy, variable = _proxy(url)

    def failed(text: str, **fields: object) -> Host:
        text = say(text, **fields)
        if proxy:
            text += say(
                ", through the proxy {proxy} ({variable})",
                proxy=proxy,
                variable=variable,
            )
        found = say("{host}: {reason}", host=host, reason=text)
        names = listed(
            [*(base.upper() for base in _PROXIES), "NO_PROXY", "WXLOGISTICS_BASE_URL"]
        )
        advice = say(
            "Check the network, the firewall, and the variables {names} (small letters "
            "count too).",
            names=names,
        )
        return Host(url, found, advice)

    began = time.monotonic()
    try:
        with requests.Session() as session:
            response = session.post(
                url.rstrip("/") + _PATH,
                json={},
                timeout=_TIMEOUT,
                allow_redirects=False,
                # Not what ~/.netrc has for this host.
                auth=lambda request: request,
            )
    except requests.exceptions.ProxyError:
        return failed("no connection")
    except requests.exceptions.SSLError as error:
        reason = re.search(r"verify failed: ([^(\n]*)", str(error))
        text = say(
            "the certificate of {host} is not trusted: {reason}",
            host=host,
            reason=reason[1].strip() if reason else "SSL",
        )
        advice = say(
            "Something on the way may read along, or this machine's clock is wrong. "
            "Behind a company's proxy set REQUESTS_CA_BUNDLE to its certificate."
        )
        tls = Step("TLS", False, text, advice, NO_ANSWER)
        return Host(url, _reached(host, began), tls=tls)
    except requests.Timeout:
        return failed("no answer within {seconds} s", seconds=_TIMEOUT)
    except requests.exceptions.InvalidSchema as error:
        # requests' words if PySocks is missing.
        return failed("{reason}", reason=clean(str(error)))
    except requests.RequestException as error:
        text = str(error)
        if "resolve" in text or "getaddrinfo" in text:
            return failed("the host name cannot be resolved (DNS)")
        if "refused" in text:
            return failed("connection refused")
        return failed("the connection broke")
    found = _reached(host, began)
    if proxy:
        found += say(
            ", through the proxy {proxy} ({variable})", proxy=proxy, variable=variable
        )
    elif variable:
        found += say(", without a proxy ({variable})", variable=variable)
    tls = Step("TLS", None, say("not used: for a sandbox only"))
    if url.startswith("https:"):
        tls = Step("TLS", True, say("the certificate of {host} is trusted", host=host))
    errmsg = _errmsg(response)
    if errmsg is None:
        found = say(
            "{host} answers, but not as WeChat does (HTTP {status})",
            host=host,
            status=response.status_code,
        )
        return Host(url, found, say(NOT_WECHAT), tls)
    return Host(url, found, "", tls, True, _clock_off(response, errmsg))


def _reached(host: str, began: float) -> str:
    return say("{host} answered in {ms} ms", host=host, ms=_since(began))


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _errmsg(response: requests.Response) -> str | None:
    """
    Return WeChat's errmsg; None if it is not WeChat's answer.
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


def _calls(is_set: bool, host: Host) -> Iterator[Step]:
    """
    Yield the checks of token and permission, by one call of get_delivery_list.
    """
    skipped = say("not checked")
    if not is_set or not host.is_wechat:
        yield Step("token", None, skipped)
        yield Step("permission", None, skipped)
        return
    given = os.environ.get("WXLOGISTICS_ACCESS_TOKEN", "").strip()
    text = (
        "WeChat accepts the access_token"
        if given
        else "WeChat returned an access_token"
    )
    token = Step("token", True, say(text))
    try:
        with Client.from_env(base_url=host.url, deadline=20) as client:
            count = len(client.get_delivery_list())
    except WxLogisticsError as error:
        code, title, rows = explain(error)
        failed = Step("permission", False, title, rows[-1][1], code, error)
        is_the_token = isinstance(error, AccessTokenError)
        if is_the_token or getattr(error, "endpoint", "") == "stable_token":
            yield failed._replace(name="token")
            yield Step("permission", None, skipped)
        else:
            # Refused, but not for the token.
            is_good = isinstance(error, ApiError)
            yield token if is_good else token._replace(is_good=None, found=skipped)
            yield failed
    else:
        yield token
        text = say("the logistics API is open ({count} carriers)", count=count)
        yield Step("permission", True, text)
