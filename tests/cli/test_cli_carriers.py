"""`carriers` and its cache, and `errors`."""

import json
import os
import time
from pathlib import Path

import pytest
from clitools import check_snapshot

from wxlogistics import DeliveryInfo
from wxlogistics.cli import carriers
from wxlogistics.errcodes import WORDS
from wxlogistics.sandbox import Sandbox


def asked(wechat: Sandbox) -> int:
    return sum(call.endpoint == "get_delivery_list" for call in wechat.calls)


class TestCarriers:
    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_carriers__look(self, lang, run, wechat):
        """A search shows id and name; how many there are goes to stderr."""
        code, out, err = run("carriers", "顺丰", "--lang", lang)

        assert 0 == code
        check_snapshot(f"carriers-{lang}", out)
        assert {"en": "2 carriers\n", "zh": "共 2 家\n"}[lang] == err

    def test_carriers__all(self, run, wechat):
        """Without a text it shows them all, one a line."""
        _, out, err = run("carriers")

        assert len(out.splitlines()) - 1 == int(err.split()[0]) > 100
        assert "SF           顺丰速运" in out.splitlines()

    def test_carriers__json(self, run, wechat):
        """A program gets objects as WeChat has them."""
        before = int(time.time())
        ran = run("carriers", "sf", "--json")

        assert {"ok": True, "count": 3} == {
            key: ran.json[key] for key in ("ok", "count")
        }
        assert {"delivery_id": "SF", "delivery_name": "顺丰速运"} == ran.json[
            "carriers"
        ][0]
        assert before <= ran.json["fetched_at"] <= time.time()
        assert ["ok", "count", "fetched_at", "carriers"] == list(ran.json)
        assert "" == ran.err

    def test_carriers__half_a_character(self, run, wechat):
        """A name that cannot be encoded ends no run, and the list is kept."""
        body = r'{"delivery_list": [{"delivery_id": "A", "delivery_name": "\ud800"}]}'
        wechat.fail("get_delivery_list", status=200, body=body)

        assert 0 == run("carriers", "A").code
        assert 1 == run("carriers", "A", "--json").json["count"]

    @pytest.mark.parametrize(
        "text, found",
        [
            ("SF", ["SF", "SFX", "XSF"]),
            ("sf", ["SF", "SFX", "XSF"]),
            (" 通 ", ["YTO"]),
            ("", ["SFX", "YTO", "XSF", "SF", ""]),
            ("none", []),
        ],
    )
    def test_search__order(self, text, found):
        """In id and name, in any case; the carrier of exactly that id stands first."""
        all_ = [
            DeliveryInfo("SFX", "a"),
            DeliveryInfo("YTO", "圆通"),
            DeliveryInfo("XSF", ""),
            DeliveryInfo("SF", "b"),
            DeliveryInfo("", ""),
        ]

        assert found == [each.delivery_id for each in carriers.search(all_, text)]


class TestCache:
    def test_cache__kept_for_a_day(self, run, wechat, monkeypatch):
        """For a day nothing is sent again, not even for a token."""
        run("carriers", "顺丰")
        monkeypatch.delenv("WXLOGISTICS_SECRET")

        code, out, err = run("carriers", "顺丰")

        assert 0 == code
        assert "SFKY         顺丰快运" in out.splitlines()
        assert err.startswith("2 carriers (as of 20")
        assert err.endswith("; --refresh fetches the list again)\n")
        assert 1 == asked(wechat)

        monkeypatch.setenv("WXLOGISTICS_SECRET", wechat.secret)
        later = time.time() + 24 * 3600
        monkeypatch.setattr(time, "time", lambda: later)
        run("carriers", "顺丰")

        assert 2 == asked(wechat)

    def test_cache__refresh(self, run, wechat):
        """--refresh asks anew and keeps what came."""
        run("carriers")
        run("carriers", "--refresh")
        run("carriers")

        assert 2 == asked(wechat)

    def test_cache__of_one_wechat(self, run, wechat, monkeypatch):
        """Another address has another list; the same in two ways has one."""
        url = os.environ["WXLOGISTICS_BASE_URL"]
        with wechat.serve() as other:
            run("carriers")
            run("carriers", "--base-url", url)
            run("carriers", "--base-url", other.url)

        assert 2 == asked(wechat)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff\x00",
            b"[]",
            b"3",
            b"{}",
            b"[" * 100_000,
            b'{"fetched_at": 1, "delivery_list": []}',
            b'{"fetched_at": "now", "delivery_list": [{"delivery_id": "SF"}]}',
            b'{"fetched_at": 99999999999, "delivery_list": [{"delivery_id": "SF"}]}',
            b'{"fetched_at": null, "delivery_list": 3}',
        ],
    )
    def test_cache__rubbish(self, content, run, wechat, surroundings):
        """A cache with rubbish in it is as none, and is written anew."""
        path = carriers.cache_path([])
        path.parent.mkdir(parents=True)
        path.write_bytes(content)

        first, second = run("carriers", "顺丰"), run("carriers", "顺丰")

        assert (0, 0) == (first.code, second.code)
        assert first.out == second.out
        assert 1 == asked(wechat)

    def test_cache__folder_is_a_file(self, run, wechat, monkeypatch):
        """A cache that cannot be written breaks nothing."""
        Path("cache").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(Path("cache").absolute()))

        assert [0, 0] == [run("carriers").code, run("carriers").code]
        assert 2 == asked(wechat)

    @pytest.mark.parametrize("folder", ["", "relative/folder"])
    def test_cache__default_folder(self, folder, monkeypatch, tmp_path):
        """Without XDG_CACHE_HOME, or with a relative one, it is ~/.cache."""
        monkeypatch.setenv("XDG_CACHE_HOME", folder)
        monkeypatch.setenv("HOME", str(tmp_path))
        path = carriers.cache_path(["https://api.weixin.qq.com"])

        assert tmp_path / ".cache" / "wxlogistics" == path.parent

    def test_cache__nobody_is_at_home(self, run, wechat, monkeypatch):
        """For a user without a home nothing is kept."""

        def home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", home)

        codes = [run("carriers").code for _ in range(2)]

        assert [0, 0] == codes
        assert 2 == len([c for c in wechat.calls if c.endpoint == "get_delivery_list"])

    def test_cache__holds_no_secret(self, run, wechat):
        """What is kept are carriers and a time."""
        run("carriers")
        kept = json.loads(carriers.cache_path([]).read_bytes())

        assert {"fetched_at", "delivery_list"} == set(kept)


class TestErrors:
    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_errors__look(self, lang, run):
        """Some rows in both languages."""
        looks = [
            run("errors", code, "--lang", lang).out
            for code in ("-1", "40164", "45009", "931023", "12345")
        ]

        check_snapshot(f"errors-{lang}", "----\n".join(looks))

    def test_errors__all(self, run):
        """Without a code there is every row, and 45009 twice."""
        ran = run("errors", "--json")
        codes = [row["errcode"] for row in ran.json["errors"]]

        assert 0 == ran.code
        assert -1 == codes[0]
        assert 9300561 == codes[-1]
        assert 2 == codes.count(45009)
        assert len(WORDS) + 1 == len(codes) > 40

    def test_errors__one(self, run):
        """A row as a program gets it."""
        assert {
            "ok": True,
            "errors": [
                {
                    "errcode": 9300560,
                    "error": "UpdateLimitError",
                    "meaning": "达到修改次数上限",
                    "advice": "商品信息只能保持现状\uff1a该运单不能再修改商品信息了。",
                }
            ],
        } == run("errors", "9300560", "--json", "--lang", "zh").json
