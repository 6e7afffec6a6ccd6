"""The sandbox's state file."""

import json
import os
from typing import Any

import pytest
from sandboxtools import EXAMPLE, GOODS, JSON, NOON, OPEN_MSG, OPENID, WAYBILL_ID

from wxlogistics import WaybillStatus
from wxlogistics.sandbox import Clock, Sandbox, wire
from wxlogistics.sandbox.world.state import dump

STATE = '{"format": "wxlogistics-sandbox", '


def call(sandbox: Sandbox, endpoint: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The reply of one of the plugin's endpoints."""
    request = wire.HttpRequest(
        "POST",
        OPEN_MSG + endpoint,
        "access_token=" + sandbox.access_token(),
        JSON,
        json.dumps(payload).encode(),
    )
    return json.loads(wire.answer(sandbox.world, request).body)


def lived_in() -> Sandbox:
    """A sandbox with something of everything."""
    sandbox = Sandbox(seed=3, clock=Clock(NOON, speed=0), edit_limit=2)
    component = sandbox.add_component(ip_whitelist=["203.0.113.7"])
    sandbox.authorize(component.appid)
    sandbox.change_refresh_token(component.appid)
    sandbox.add_app("wx1111111111111111", ip_whitelist=["203.0.113.7"])
    sandbox.component_access_token(component.appid)
    call(sandbox, "trace_waybill", EXAMPLE)
    token = call(sandbox, "follow_waybill", {**EXAMPLE, "waybill_id": "W2"})
    update = {"waybill_token": token["waybill_token"], "goods_info": GOODS}
    call(sandbox, "update_follow_waybill_goods", update)
    sandbox.clock.tick(hours=6)
    sandbox.move("W2", WaybillStatus.EXCEPTION, message="雨")
    sandbox.fail("query_trace", errcode=-1, times=2)
    return sandbox


class TestSave:
    def test_load__same(self, tmp_path):
        """What is loaded is what was saved."""
        sandbox = lived_in()
        sandbox.save(tmp_path / "state.json")

        loaded = Sandbox.load(tmp_path / "state.json")

        assert dump(sandbox.world) == dump(loaded.world)
        assert sandbox.settings == loaded.settings
        assert sandbox.appid == loaded.appid

    def test_load__goes_on(self, tmp_path):
        """The two go on alike, to the last digit of a rid."""
        first = lived_in()
        first.save(tmp_path / "state.json")
        second = Sandbox.load(tmp_path / "state.json")
        stories = []

        for sandbox in (first, second):
            token = call(sandbox, "trace_waybill", EXAMPLE)["waybill_token"]
            story = [
                call(sandbox, "query_trace", {"waybill_token": token}) for _ in range(3)
            ]
            story.append(call(sandbox, "query_trace", {"waybill_token": "x"}))
            sandbox.clock.tick(hours=2)
            story.append(sandbox.access_token())
            story.append(sandbox.counters)
            story.append([call.number for call in sandbox.calls])
            stories.append(story)

        assert stories[0] == stories[1]
        assert [-1, -1, 0] == [reply["errcode"] for reply in stories[0][:3]]
        assert 2 == stories[0][2]["waybill_info"]["status"]

    def test_load__time_stood_still(self, tmp_path):
        """Time goes on from where it was, at the speed that it had."""
        Sandbox(clock=Clock(NOON, speed=60)).save(tmp_path / "state.json")
        real = [0.0]
        clock = Clock(real=lambda: real[0])

        Sandbox.load(tmp_path / "state.json", clock=clock)
        before = clock.now()
        real[0] += 1

        assert NOON <= before <= NOON + 600
        assert before + 60 == clock.now()

    def test_save__readable(self, tmp_path):
        """The file is JSON in plain UTF-8."""
        lived_in().save(tmp_path / "state.json")

        text = (tmp_path / "state.json").read_text(encoding="utf-8")

        assert "测试名字" in text
        data = json.loads(text)
        assert ("wxlogistics-sandbox", 2) == (data["format"], data["version"])
        assert OPENID in data["users"]
        assert [WAYBILL_ID, "W2"] == [one["waybill_id"] for one in data["parcels"]]

    def test_save__whole_or_not_at_all(self, tmp_path, monkeypatch):
        """When writing fails, the old file stays and nothing is left behind."""
        path = tmp_path / "state.json"
        lived_in().save(path)
        before = path.read_bytes()

        def fail(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            Sandbox().save(path)

        assert before == path.read_bytes()
        assert [path] == list(tmp_path.iterdir())

    def test_save__half_a_character(self, tmp_path):
        """Half a surrogate pair, which UTF-8 cannot hold, is saved as JSON's escape."""
        sandbox = Sandbox()
        sandbox.add_waybill("W")
        sandbox.move("W", 1, message="\ud800测")

        sandbox.save(tmp_path / "state.json")

        assert b'"\\ud800\xe6\xb5\x8b"' in (tmp_path / "state.json").read_bytes()
        loaded = Sandbox.load(tmp_path / "state.json")
        assert "\ud800测" == loaded.world.parcels["W"].moves[0].message

    def test_save__after_one_that_was_killed(self, tmp_path):
        """What a killed process left is cleaned up, and not written through."""
        left, other = tmp_path / ".state.json.new", tmp_path / "other"
        other.write_text("kept")
        for leave in (lambda: left.symlink_to(other), lambda: left.write_text("{")):
            leave()

            Sandbox(appid="wx1").save(tmp_path / "state.json")

            names = {path.name for path in tmp_path.iterdir()}
            assert {"state.json", "other"} == names
            assert "kept" == other.read_text()
            assert "wx1" == Sandbox.load(tmp_path / "state.json").appid

    @pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
    def test_save__mode(self, tmp_path):
        """A new file is its owner's alone; one that was there keeps its mode."""
        path = tmp_path / "state.json"
        Sandbox().save(path)
        new = path.stat().st_mode & 0o777
        path.chmod(0o644)

        Sandbox().save(path)

        assert (0o600, 0o644) == (new, path.stat().st_mode & 0o777)

    @pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
    def test_save__link(self, tmp_path):
        """A link stays one, and the file that it leads to is written."""
        (tmp_path / "elsewhere").mkdir()
        target, link = tmp_path / "elsewhere" / "s.json", tmp_path / "state.json"
        link.symlink_to(target)

        for _ in range(2):
            Sandbox(appid="wx1").save(link)

        assert link.is_symlink()
        assert [target] == list((tmp_path / "elsewhere").iterdir())
        assert "wx1" == Sandbox.load(target).appid

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "state.json: not JSON: Expecting value"),
            ("{", "state.json: not JSON: Expecting property name"),
            ("[" * 10**6, "state.json: JSON that nests too deep"),
            ('{"format": NaN}', "state.json: NaN is not a JSON number"),
            ("[]", "this is not the state of a sandbox"),
            ('{"format": "other"}', "this is not the state of a sandbox"),
            (STATE + '"version": 1}', "state of version 1, not 2"),
            (STATE + '"version": 2, "settings": {}}', "damaged: no 'clock'"),
            (STATE + '"version": 2, "clock": 5}', "damaged: no 'mint'"),
        ],
    )
    def test_load__no_state(self, tmp_path, text, problem):
        """A file that is not a state raises, with its name."""
        (tmp_path / "state.json").write_text(text)

        with pytest.raises(ValueError, match=problem):
            Sandbox.load(tmp_path / "state.json")
