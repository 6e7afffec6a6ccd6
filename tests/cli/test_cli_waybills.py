"""One waybill at the terminal: register, query, update, and what goes wrong."""

import io
import json
import sys
from pathlib import Path

import pytest
from clitools import Run, check_snapshot, ran
from private import APPID, OPENID, SECRET

from wxlogistics import Trace
from wxlogistics.cli.views import show_trace

TEA = "龙井茶 250 克=https://shop.example/tea.jpg"
REGISTER = ["--openid", OPENID, "--receiver-phone", "13800138000"]


def register(run: Run, command: str = "trace", waybill_id: str = "SF1") -> str:
    ran = run(command, waybill_id, *REGISTER, "--goods", TEA, "--json")
    token: str = ran.json["waybill_token"]
    return token


class TestRegister:
    @pytest.mark.parametrize(
        "command, endpoint", [("trace", "trace_waybill"), ("follow", "follow_waybill")]
    )
    def test_trace__all_options(self, command, endpoint, run, wechat):
        """Every option reaches WeChat under its own name."""
        fields = {
            "openid": OPENID,
            "receiver_phone": "13800138000",
            "sender_phone": "075512345678",
            "trans_id": "4200001",
            "delivery_id": "SF",
            "order_detail_path": "pages/order?id=1",
        }
        options = [f"--{name.replace('_', '-')}={fields[name]}" for name in fields]
        goods = ("--goods", TEA, "--goods", "杯=")
        code, out, err = run(command, "SF1234567890123", *options, *goods)
        call = wechat.calls[-1]

        assert (0, "") == (code, err)
        assert out.splitlines() == [
            "✓ SF1234567890123 is registered. Keep its waybill_token with the order:",
            call.reply["waybill_token"],
        ]
        assert endpoint == call.endpoint
        assert {
            "waybill_id": "SF1234567890123",
            **fields,
            "goods_info": {
                "detail_list": [
                    {
                        "goods_name": "龙井茶 250 克",
                        "goods_img_url": "https://shop.example/tea.jpg",
                    },
                    {"goods_name": "杯", "goods_img_url": ""},
                ]
            },
        } == call.payload

    def test_trace__json(self, run, wechat):
        """A program gets the token and nothing else."""
        ran = run("trace", "SF1", *REGISTER, "--goods", TEA, "--json")

        assert {
            "ok": True,
            "waybill_id": "SF1",
            "waybill_token": wechat.calls[-1].reply["waybill_token"],
        } == ran.json
        assert "" == ran.err

    @pytest.mark.parametrize(
        "text",
        [
            '[{"goods_name": "茶", "goods_img_url": "a", "goods_desc": "b"}]',
            '\ufeff{"detail_list": [{"goods_name": "茶", "goods_img_url": "a",'
            ' "goods_desc": "b"}]}',
            '{"goods_info": {"detail_list": [{"goods_name": "茶",'
            ' "goods_img_url": "a", "goods_desc": "b"}]}}',
            '{"goods_name": "茶", "goods_img_url": "a", "goods_desc": "b"}',
        ],
    )
    def test_trace__goods_file(self, text, run, wechat, surroundings):
        """The goods come from a JSON file, bare or as WeChat's API has them."""
        Path("goods.json").write_text(text, encoding="utf-8")

        code, _, err = run("trace", "SF1", *REGISTER, "--goods-file", "goods.json")

        assert (0, "") == (code, err)
        assert [
            {"goods_name": "茶", "goods_img_url": "a", "goods_desc": "b"}
        ] == wechat.calls[-1].payload["goods_info"]["detail_list"]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_trace__goods_from_stdin(self, encoding, run, wechat, monkeypatch):
        """- is stdin: JSON in UTF-8, whatever the locale, with a BOM or without."""
        data = '[{"goods_name": "茶"}]'.encode(encoding)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "ascii"))

        code, _, _ = run("trace", "SF1", *REGISTER, "--goods-file", "-")

        assert 0 == code
        assert [{"goods_name": "茶", "goods_img_url": ""}] == wechat.calls[-1].payload[
            "goods_info"
        ]["detail_list"]

    @pytest.mark.parametrize(
        "argv, problem",
        [
            ([], "give either --goods or --goods-file"),
            (
                ["--goods", "a=b", "--goods-file", "goods.json"],
                "give either --goods or --goods-file",
            ),
            (["--goods", "茶"], "'茶' is not NAME=URL"),
            (["--goods", "=url"], "goods without a goods_name"),
            (["--goods", " =url"], "goods without a goods_name"),
            (["--goods", "a=b"] * 11, "11 goods; WeChat takes 1 to 10"),
            (["--goods-file", "none.json"], "none.json: No such file or directory"),
        ],
    )
    def test_trace__bad_goods(self, argv, problem, run):
        """Goods that cannot be right are wrong use, before anything is sent."""
        code, out, err = run("trace", "SF1", *REGISTER, *argv)

        assert (2, "") == (code, out)
        assert [
            f"✗ {problem}",
            "  Try 'wxlogistics trace --help' for help.",
        ] == err.splitlines()

    @pytest.mark.parametrize(
        "content, problem",
        [
            (b"", "the goods are not JSON"),
            (b"[" * 100_000, "the goods are not JSON"),
            (b"\xff\xfe", "the goods are not JSON"),
            (b"3", "the goods are not a list of objects"),
            (b"[]", "0 goods; WeChat takes 1 to 10"),
            (b'["a"]', "the goods are not a list of objects"),
            (b'[{"goods_name": 3}]', "the goods are not a list of objects"),
            (b'[{"goods_name": "a", "goods_desc": 3}]', "the goods are not a list of"),
            (b'[{"goods_img_url": "a"}]', "goods without a goods_name"),
            (b'[{"goods_name": "a", "price": 1}]', "goods do not have price, only"),
        ],
    )
    def test_trace__bad_goods_file(self, content, problem, run):
        """So is a file with none."""
        Path("goods.json").write_bytes(content)

        code, _, err = run("trace", "SF1", *REGISTER, "--goods-file", "goods.json")

        assert 2 == code
        assert err.startswith(f"✗ {problem}")

    def test_trace__goods_desc_null(self, run, wechat):
        """A description that is null is none."""
        Path("goods.json").write_text('[{"goods_name": "a", "goods_desc": null}]')

        code, _, _ = run("trace", "SF1", *REGISTER, "--goods-file", "goods.json")

        assert 0 == code

    def test_trace__empty_argument(self, run, wechat):
        """What the client refuses is wrong use as well."""
        argv = ["trace", " ", *REGISTER, "--goods", TEA]
        english, chinese = run(*argv), run(*argv, "--lang", "zh")

        assert (2, "✗ waybill_id: is empty; give its value\n") == (
            english.code,
            english.err,
        )
        assert "✗ waybill_id\uff1a不能为空\n" == chinese.err

    def test_trace__bad_base_url(self, run, wechat):
        """So is a base URL that is not one."""
        code, _, err = run(
            "trace", "SF1", *REGISTER, "--goods", TEA, "--base-url", "x", "--lang", "zh"
        )

        assert 2 == code
        assert err.startswith("✗ base_url\uff1a不是 https://api.weixin.qq.com 这样")


class TestUpdate:
    @pytest.mark.parametrize(
        "command, registers, endpoint",
        [
            ("update-goods", "trace", "update_waybill_goods"),
            ("update-follow-goods", "follow", "update_follow_waybill_goods"),
        ],
    )
    def test_update__replaces(self, command, registers, endpoint, run, wechat):
        """The goods are replaced, and named."""
        token = register(run, registers)

        text = run(command, token, "--goods", "绿茶=www.qq.com", "--goods", "杯=")
        as_json = run(command, token, "--goods", "绿茶=", "--openid", OPENID, "--json")

        assert (0, "✓ The goods are replaced: 绿茶, 杯\n", "") == text
        assert {"ok": True, "waybill_token": token} == as_json.json
        assert endpoint == wechat.calls[-1].endpoint
        assert {
            "waybill_token": token,
            "openid": OPENID,
            "goods_info": {
                "detail_list": [{"goods_name": "绿茶", "goods_img_url": ""}]
            },
        } == wechat.calls[-1].payload


class TestQuery:
    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_query__look(self, lang, run, wechat):
        """The timeline, in both languages."""
        token = register(run, waybill_id="SF1234567890123")
        for status, message in (
            (1, "【深圳市】顺丰速运已揽件，揽件员：王师傅"),
            (2, "【杭州市】快件已到达杭州转运中心"),
            (3, "【杭州市】派送中，电话：13900139000，请保持畅通"),
        ):
            wechat.clock.tick(hours=7)
            wechat.move("SF1234567890123", status, message=message)

        code, out, err = run("query", token, "--lang", lang)

        assert (0, "") == (code, err)
        check_snapshot(f"query-{lang}", out)

    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_query__look_of_each_status(self, lang, run, wechat):
        """Each status in its own words, an unknown one included."""
        looks = []
        for status in (0, 1, 2, 3, 4, 5, 6, 9):
            token = register(run, waybill_id=f"SF{status}")
            wechat.move(f"SF{status}", status, message="...")
            looks.append(run("query", token, "--lang", lang).out)

        check_snapshot(f"query-statuses-{lang}", "----\n".join(looks))

    def test_query__colours(self, run, wechat, monkeypatch):
        """In a terminal the status is coloured."""
        token = register(run, waybill_id="SF1234567890123")
        wechat.move("SF1234567890123", 4)
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")

        out = run("query", token).out

        assert "\x1b[32m\x1b[1m● signed\x1b[0m" in out

    def test_query__piped(self, run, wechat, monkeypatch):
        """Piped output breaks no line."""
        token = register(run, waybill_id="SF1234567890123")
        wechat.move("SF1234567890123", 2, message="很长" * 100)
        monkeypatch.delenv("COLUMNS")

        out = run("query", token).out

        assert f"2026-11-24 10:00 ● {'很长' * 100}" in out.splitlines()

    def test_query__follow(self, run, wechat):
        """The message component has its own command and tokens."""
        token = register(run, "follow")

        mine = run("query-follow", token, "--openid", OPENID)
        other = run("query", token)

        assert (0, 1) == (mine.code, other.code)
        assert {"waybill_token": token, "openid": OPENID} == wechat.calls[-3].payload

    def test_query__json(self, run, wechat):
        """A program gets flat keys, and WeChat's whole reply."""
        token = register(run)
        wechat.move("SF1", 4, message="已签收")

        ran = run("query", token, "--json")
        path = {"time": 1795485600, "type": 300003, "message": "已签收"}

        assert {
            "ok": True,
            "waybill_token": token,
            "status": 4,
            "status_name": "SIGNED",
            "label": "已签收",
            "final": True,
            "waybill_id": "SF1",
            "delivery_id": "SF",
            "delivery_name": "顺丰速运",
            "path": [{**path, "type": ran.json["path"][0]["type"]}],
            "goods": [
                {
                    "goods_name": "龙井茶 250 克",
                    "goods_img_url": "https://shop.example/tea.jpg",
                    "goods_desc": "",
                }
            ],
            "raw": wechat.calls[-1].reply,
        } == ran.json

    def test_query__json_of_next_to_nothing(self, run, wechat):
        """What WeChat leaves out has the same keys."""
        reply = {"errcode": 0, "waybill_info": {"status": 0}}
        wechat.fail("query_trace", status=200, body=json.dumps(reply), times=2)

        ran = run("query", "t", "--json")

        assert "WeChat returned no steps of the route." in run("query", "t").out
        assert (0, "NOT_COLLECTED", "", None, None, [], [], reply) == tuple(
            ran.json[name]
            for name in ("status", "status_name", "waybill_id", "delivery_id")
            + ("delivery_name", "path", "goods", "raw")
        )

    @pytest.mark.parametrize(
        "argv", [["{}", "--json"], ["--json", "{}"], ["--openid", "-o" * 14, "{}"]]
    )
    @pytest.mark.parametrize("token", ["-nlpFQ" + "h" * 58, "--lang" + "h" * 58])
    def test_query__token_with_a_hyphen(self, argv, token, run, wechat):
        """One waybill_token in 64 begins with a hyphen; it is not an option."""
        run("query", *(word.format(token) for word in argv))
        other = run("update-goods", token, "--goods", "a=b")
        run("query", "--", token)

        assert [token] * 3 == [
            call.payload["waybill_token"]
            for call in wechat.calls
            if "waybill_token" in call.payload
        ]
        assert 1 == other.code

    def test_trace__token_with_escapes(self, run, wechat):
        """A waybill_token that WeChat never gives acts on no terminal."""
        reply = {"errcode": 0, "waybill_token": "a\x1b[31mb\x9b1m"}
        wechat.fail("trace_waybill", status=200, body=json.dumps(reply), times=2)
        argv = ["trace", "SF1", *REGISTER, "--goods", TEA]

        shown = run(*argv).out + run(*argv, "--json").out

        assert "a [31mb 1m" == shown.splitlines()[1]
        assert not {"\x1b", "\x9b"} & set(shown)

    def test_show_trace__odd_texts(self, surroundings, capsys):
        """Nothing in WeChat's texts can act on the terminal, and no time is too odd."""
        trace = Trace.from_reply(
            {
                "waybill_info": {
                    "status": 0,
                    "waybill_id": "\x1b[31mSF\x071",
                    "path": {
                        "path_action": [
                            {"action_time": 0, "action_msg": "[red]a\x1b]0;b\x07"},
                            {"action_time": 10**18},
                        ]
                    },
                },
                "shop_info": {
                    "goods_info": {"detail_list": [{"goods_name": "a\nb"}, {}]}
                },
                "delivery_info": {"delivery_id": ":smile:", "delivery_name": ""},
            }
        )

        show_trace(trace)

        assert [
            " [31mSF 1  :smile:",
            "● not collected",
            "",
            "                 ● [red]a ]0;b",
            "                 │",
            "",
            "Goods: a b, no name",
        ] == [line.rstrip() for line in capsys.readouterr().out.splitlines()]


class TestErrors:
    @pytest.mark.parametrize("lang", ["en", "zh"])
    def test_fail__look(self, lang, run, wechat):
        """Refusals of several kinds, and no answer, in both languages."""
        looks = []
        for fault in (
            {"errcode": 9300507},
            {"errcode": 40164},
            {"errcode": 45009},
            {"errcode": 123456, "errmsg": ""},
            {"errcode": 40003, "errmsg": "old hint: [xyz]"},
            {"status": 403, "body": "<html>Forbidden</html>"},
            {"status": 302, "body": ""},
        ):
            wechat.fail("query_trace", **fault)
            ran = run("query", "t", "--lang", lang)
            looks.append(f"exit code {ran.code}\n{ran.err}")

        check_snapshot(f"errors-shown-{lang}", "----\n".join(looks))

    def test_fail__refused_as_json(self, run, wechat):
        """A program gets all of it on stdout; the person still reads stderr."""
        wechat.fail("stable_token", errcode=40164)

        ran = run("query", "t", "--json")

        assert 1 == ran.code
        assert {
            "ok": False,
            "error": {
                "type": "IpNotAllowedError",
                "message": "WeChat refused stable_token: invalid ip 127.0.0.1 ipv6 "
                "::ffff:127.0.0.1, not in whitelist",
                "errcode": 40164,
                "errmsg": wechat.calls[-1].reply["errmsg"],
                "rid": wechat.calls[-1].reply["errmsg"][-26:],
                "endpoint": "stable_token",
                "field": None,
                "ip": "127.0.0.1",
                "retryable": False,
                "maybe_applied": False,
                "advice": "Put 127.0.0.1 on the IP whitelist in WeChat's console.",
            },
        } == ran.json
        assert ran.err.startswith("✗ WeChat refused stable_token: invalid ip")

    def test_fail__unreachable(self, run, wechat):
        """No connection exits with 3; nothing was sent."""
        found = run("query", "t", "--base-url", "http://127.0.0.1:9")

        assert (3, "") == (found.code, found.out)
        assert (
            "✗ No answer from WeChat to stable_token: no connection to 127.0.0.1:9: "
            "Connection refused advice The request was not sent. Check the network "
            "('wxlogistics doctor' helps), then try again." == found.told
        )

    @pytest.mark.parametrize(
        "argv, endpoint, advice",
        [
            (
                ["trace", "SF1", *REGISTER, "--goods", TEA],
                "trace_waybill",
                "The waybill may have been registered. Run the command again: WeChat "
                "keeps the first goods and returns the waybill_token.",
            ),
            (
                ["update-goods", "t", "--goods", TEA],
                "update_waybill_goods",
                "The goods may have been replaced, and WeChat allows few changes: look "
                "with 'query' before you try again.",
            ),
            (["query", "t"], "query_trace", "Try again."),
            (["carriers"], "get_delivery_list", "Try again."),
        ],
    )
    def test_fail__maybe_applied(self, argv, endpoint, advice, run, wechat):
        """A lost answer says what may have happened, and what is safe to do."""
        wechat.fail(endpoint, status=502, times=None)

        ran = run(*argv, "--json")

        assert 3 == ran.code
        assert advice == ran.json["error"]["advice"]
        assert ran.json["error"]["maybe_applied"] is True
        assert "TransportError" == ran.json["error"]["type"]

    def test_fail__no_variables(self, run):
        """Without the variables it says which to set."""
        english, chinese = run("query", "t"), run("query", "t", "--lang", "zh")

        assert 2 == english.code
        assert [
            "✗ WXLOGISTICS_ACCESS_TOKEN is not set. Set WXLOGISTICS_ACCESS_TOKEN, or",
            "  WXLOGISTICS_APPID and WXLOGISTICS_SECRET",
            "  'wxlogistics doctor' checks the setup.",
        ] == english.err.splitlines()
        assert "没有设置 WXLOGISTICS_ACCESS_TOKEN" in chinese.err

    def test_fail__secrets(self, run, wechat):
        """Neither the secret nor the access token is ever shown."""
        shown = ""
        for fault in ({"errcode": 40125}, {"status": 500, "body": SECRET}):
            wechat.fail("stable_token", **fault)
            for argv in (["query", "t"], ["query", "t", "--json"], ["doctor"]):
                ran = run(*argv)
                shown += ran.out + ran.err
        token = wechat.access_token()
        wechat.fail("query_trace", status=500, body=f"access_token={token}")
        ran = run("query", "t", "--json")
        shown += ran.out + ran.err

        assert 3 == ran.code
        assert SECRET not in shown
        assert token not in shown
        assert APPID in shown

    def test_options__no_secret(self, run):
        """No option takes a secret."""
        for name in ("--secret", "--access-token", "--appid", "--token"):
            assert f"No such option '{name}'" in run("query", "t", name, "x").err


class TestProcess:
    def test_process__whole_life(self, wechat):
        """Register, query, update and search as processes, over HTTP."""
        made = ran("trace", "SF1", *REGISTER, "--goods", TEA, "--json")
        token = json.loads(made.out)["waybill_token"]
        wechat.move("SF1", 3)
        queried = ran("query", token, "--lang", "zh")
        updated = ran("update-goods", token, "--goods", "绿茶=www.qq.com")
        refused = ran("query", "x", "--json")

        assert [0, 0, 0, 1] == [made.code, queried.code, updated.code, refused.code]
        assert "● 派件中" in queried.out.splitlines()
        assert "✓ The goods are replaced: 绿茶\n" == updated.out
        assert 9300507 == json.loads(refused.out)["error"]["errcode"]
