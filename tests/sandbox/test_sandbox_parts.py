"""The sandbox's clock, mint and settings, and the object that its user holds."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import types
from pathlib import Path

import attrs
import pytest
from sandboxtools import NOON, OPENID, need

from wxlogistics import WaybillStatus, _pyinstaller
from wxlogistics.sandbox import Clock, Sandbox, Settings
from wxlogistics.sandbox.world.settings import SettingsArgs

SCRIPTS = str(Path(sys.executable).parent)


class TestClock:
    @pytest.mark.parametrize(
        ("given", "passed", "shown"),
        [
            # By default it shows real time.
            ({}, 5, 1_000_005.0),
            ({"start": NOON, "speed": 60}, 2, NOON + 120),
            # When the machine's time is set back, the sandbox's stands still.
            ({"start": NOON}, -100, NOON),
        ],
    )
    def test_now(self, given, passed, shown):
        """It shows real time, or one of its own at a speed of its own."""
        seconds = [1_000_000.0]
        clock = Clock(**given, real=lambda: seconds[0])

        seconds[0] += passed

        assert shown == clock.now()
        assert given.get("speed", 1) == clock.speed

    def test_tick(self):
        """It is moved by days, hours, minutes and seconds, and returns the time."""
        clock = Clock(NOON, speed=0)

        now = clock.tick(days=1, hours=2, minutes=3, seconds=4.5)

        assert NOON + 93784.5 == now == clock.now()

    @pytest.mark.parametrize(
        ("start", "seconds"),
        [(NOON, -1), (NOON, float("inf")), (NOON, float("nan")), (1e308, 1e308)],
    )
    def test_tick__nonsense(self, start, seconds):
        """Time only moves forward, and not to where no number reaches."""
        clock = Clock(start, speed=0)

        with pytest.raises(ValueError, match="time only moves forward"):
            clock.tick(seconds=seconds)
        assert start == clock.now()

    @pytest.mark.parametrize("speed", [-1, float("nan"), float("inf"), 10**9 + 1])
    def test_init__nonsense(self, speed):
        """Time neither runs back nor comes to an end."""
        with pytest.raises(ValueError, match="speed is from 0 to 1000000000"):
            Clock(speed=speed)

    def test_set__no_time(self):
        """What is no time of day is refused, and the clock goes on as it was."""
        clock = Clock(NOON, speed=0)

        for now in (float("nan"), float("inf")):
            with pytest.raises(ValueError, match="now is a finite number"):
                clock.set(now, 1)
        with pytest.raises(TypeError):
            clock.set("1", 1)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            clock.tick(hours="1")  # type: ignore[arg-type]

        assert (NOON, 0) == (clock.now(), clock.speed)


class TestPyInstaller:
    def test_hook(self, monkeypatch):
        """The hook packs the data files of the sandbox."""
        hooks = types.ModuleType("PyInstaller.utils.hooks")
        asked: list[str] = []
        hooks.collect_data_files = asked.append  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "PyInstaller", types.ModuleType("PyInstaller"))
        monkeypatch.setitem(sys.modules, "PyInstaller.utils", hooks)
        monkeypatch.setitem(sys.modules, "PyInstaller.utils.hooks", hooks)
        [folder] = _pyinstaller.get_hook_dirs()

        runpy.run_path(f"{folder}/hook-wxlogistics.sandbox.py")

        assert ["wxlogistics.sandbox"] == asked


class TestSeed:
    def story(self, seed: int | str | None) -> list[str]:
        sandbox = Sandbox(seed=seed, clock=Clock(NOON, speed=0))
        return [
            sandbox.appid,
            sandbox.secret,
            sandbox.access_token(),
            sandbox.add_user(),
            sandbox.add_app().appid,
            sandbox.add_component().ticket,
        ]

    def test_seed(self):
        """The same seed gives the same story; another seed, or none, another one."""
        assert self.story(1) == self.story(1) == self.story("1")
        for values in zip(*(self.story(seed) for seed in (1, 2, None, None))):
            assert 4 == len(set(values))

    def test_seed__shapes(self):
        """What is made up looks like WeChat's."""
        appid, secret, token, openid, _, ticket = self.story(1)

        assert re.fullmatch(r"wx[0-9a-f]{16}", appid)
        assert re.fullmatch(r"[0-9a-f]{32}", secret)
        assert re.fullmatch(r"\d{1,2}_[A-Za-z0-9_-]{134}", token)
        assert re.fullmatch(r"o[A-Za-z0-9_-]{27}", openid)
        assert re.fullmatch(r"ticket@@@[A-Za-z0-9_-]{86}", ticket)


class TestSandbox:
    def test_init__settings(self):
        """Settings are keyword arguments; the default app can be one's own."""
        sandbox = Sandbox(appid="wx1", secret="s", edit_limit=2)

        assert ("wx1", "s") == (sandbox.appid, sandbox.secret)
        assert 2 == sandbox.settings.edit_limit
        # An errcode may be negative; -1 is one that WeChat has.
        assert -1 == Sandbox(unknown_waybill=-1).settings.unknown_waybill

    @pytest.mark.parametrize(
        ("settings", "error"),
        [
            ({"no_such_setting": 1}, TypeError),
            ({"ip_whitelist": "203.0.113.7"}, TypeError),
            ({"refused_image": "("}, ValueError),
            ({"ip_whitelist": 5}, TypeError),
            ({"ip_whitelist": [5]}, TypeError),
            ({"route": [(float("inf"), 1)]}, ValueError),
            ({"route": [(10**400, 1)]}, ValueError),
            ({"route": [(1e306, 1)]}, ValueError),
            ({"route": [(float("nan"), 1)]}, ValueError),
            ({"route": 5}, ValueError),
            ({"route": [(5, 1), (1, 2)]}, ValueError),
            ({"edit_limit": -1}, ValueError),
            ({"token_lifetime": 0}, ValueError),
            ({"quota_reset_hour": 24}, ValueError),
            ({"quota_reset_hour": -1}, ValueError),
            ({"keep_calls": 10**22}, ValueError),
            ({"calls_per_second": -1}, ValueError),
            ({"route": [(1, "x")]}, ValueError),
            ({"edit_limit": "3"}, TypeError),
            ({"opened": 1}, TypeError),
            ({"default_delivery_id": "NO SUCH"}, ValueError),
        ],
    )
    def test_init__nonsense(self, settings, error):
        """An unknown or invalid setting raises at once."""
        with pytest.raises(error) as caught:
            Sandbox(**settings)

        assert list(settings)[0] in str(caught.value)
        Sandbox(quota_reset_hour=23, token_lifetime=1, route=[(1, 1), (1, 2)])

    def test_init__known_to_editors(self):
        """The keyword arguments are the settings, with the types that they take."""
        wider = {
            "ip_whitelist": "Iterable[str] | None",
            "route": "Iterable[tuple[float, int]]",
        }
        types = {field.name: field.type for field in attrs.fields(Settings)}

        # A TypedDict keeps what is written as a reference.
        written = SettingsArgs.__annotations__.items()
        assert {**types, **wider} == {n: hint.__forward_arg__ for n, hint in written}

    @pytest.mark.once
    def test_init__misspelt(self, tmp_path):
        """A misspelt or mistyped setting is an error of mypy and of pyright."""
        lines = [
            "from wxlogistics.sandbox import Sandbox",
            "Sandbox(edit_limit=3, route=[(1, 4)], ip_whitelist=['::1'])",
            "Sandbox(edit_limt=3)",
            "Sandbox(edit_limit='3')",
        ]
        (tmp_path / "use.py").write_text("\n".join(lines))

        root = str(Path(__file__).parents[2])
        (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [root]}))

        for tool in (["mypy", "--strict", "--follow-imports=silent"], ["basedpyright"]):
            need(shutil.which(tool[0], path=SCRIPTS), f"there is no {tool[0]}")
            done = subprocess.run(
                [str(Path(SCRIPTS, tool[0])), *tool[1:], "use.py"],
                cwd=tmp_path,
                env={**os.environ, "MYPYPATH": root},
                capture_output=True,
                text=True,
            )
            found = set(
                re.findall(r"use\.py:(\d+)(?::\d+)?(?: -)?:? error", done.stdout)
            )
            assert {"3", "4"} == found, done.stdout

    @pytest.mark.parametrize(
        ("ask", "error", "problem"),
        [
            (lambda s: s.move("W", 4), LookupError, "no waybill 'W' in the sandbox"),
            (lambda s: s.add_user("x"), ValueError, "an openid is"),
            (
                lambda s: [s.add_waybill("W"), s.move("W", 1, message=5)],
                TypeError,
                r"message is of type str \| None, not 5",
            ),
            (
                lambda s: [s.add_waybill("W"), s.move("W", 1.5)],
                TypeError,
                "status is of type int, not 1.5",
            ),
            (
                lambda s: [s.add_waybill("W"), s.move("W", True)],
                TypeError,
                "status is of type int, not True",
            ),
            (lambda s: s.authorize("wx0"), LookupError, "wx0"),
            (lambda s: s.authorize(s.add_component().appid, "wx0"), LookupError, "wx0"),
            (lambda s: s.change_refresh_token("wx0"), LookupError, "wx0"),
            (lambda s: s.component_access_token("wx0"), LookupError, "wx0"),
            (lambda s: s.access_token("wx0"), LookupError, "wx0"),
            (lambda s: s.add_user(appid="wx0"), LookupError, "wx0"),
            (lambda s: s.js_code(appid="wx0"), LookupError, "no app 'wx0'"),
            (lambda s: s.js_code("x"), ValueError, "an openid is"),
            (
                lambda s: s.add_app(ip_whitelist="10.0.0.1"),
                TypeError,
                "ip_whitelist is a list of texts, not '10.0.0.1'",
            ),
            (
                lambda s: s.add_component(ip_whitelist=[5]),
                TypeError,
                r"ip_whitelist is a list of texts, not \(5,\)",
            ),
            (
                lambda s: s.authorize(s.add_component().appid, permissions=None),
                TypeError,
                "permissions is a list of numbers, not None",
            ),
            (
                lambda s: s.authorization_code(
                    s.add_component().appid, permissions=["45"]
                ),
                TypeError,
                r"permissions is a list of numbers, not \('45',\)",
            ),
        ],
    )
    def test_nonsense(self, ask, error, problem):
        """What is not there is named; what cannot be raises at once."""
        with pytest.raises(error, match=problem):
            ask(Sandbox())

    @pytest.mark.parametrize("kind", ["app", "component"])
    def test_add__appid_taken(self, kind):
        """An appid is one account's; the one that was first keeps its secret."""
        sandbox = Sandbox(appid="wx1", secret="s3cret")
        sandbox.add_component("wx2")
        add = getattr(sandbox, f"add_{kind}")

        for appid in ("wx1", "wx2"):
            with pytest.raises(ValueError, match=f"appid: '{appid}' is in the sandbox"):
                add(appid, "other")

        assert "s3cret" == sandbox.world.tokens.apps["wx1"].secret

    def test_add_user__of_an_app(self):
        """A user can belong to an app before anything is sent."""
        sandbox = Sandbox()
        other = sandbox.add_app()

        assert OPENID == sandbox.add_user(OPENID, appid=other.appid)
        assert {OPENID: other.appid} == sandbox.world.users

    @pytest.mark.parametrize(
        ("route", "seen"),
        [
            # Without a route parcels only move by hand.
            ([], ["运单不存在或者未揽收"] * 3),
            (
                [(0.5, WaybillStatus.COLLECTED), (1, 6)],
                ["运单不存在或者未揽收", "已揽件", "代签收"],
            ),
        ],
    )
    def test_route(self, route, seen):
        """A route of one's own is hours and status."""
        sandbox = Sandbox(route=route, clock=Clock(speed=0))
        sandbox.add_waybill("W")
        labels = []
        for _ in range(3):
            status = sandbox.world.parcels["W"].status(sandbox.clock.now())
            labels.append(status.label)
            sandbox.clock.tick(minutes=30)

        assert seen == labels
