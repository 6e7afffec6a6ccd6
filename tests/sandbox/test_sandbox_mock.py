"""Door 1: in process, through `responses`."""

import io
import sys
from typing import Any

import pytest
import requests
import responses
import urllib3
from sandboxtools import EXAMPLE, QUERY_TRACE, run_python

from wxlogistics import ApiError, GoodsDetail, GoodsInfo
from wxlogistics.sandbox import Sandbox

#: The document's example as arguments of the client.
REGISTRATION: dict[str, Any] = {
    **EXAMPLE,
    "goods_info": GoodsInfo([GoodsDetail("测试名字", "www.qq.com")]),
}

BODY = b'{"waybill_token":"x"}'

QUERY_URL = "https://api.weixin.qq.com" + QUERY_TRACE
OTHER_URL = "https://example.com/"


def query(host: str = "api.weixin.qq.com") -> int:
    """The errcode of a call without a token, which shows that the sandbox answers."""
    return requests.post(f"https://{host}{QUERY_TRACE}", timeout=60).json()["errcode"]


def mine() -> bool:
    """Whether the test's own rule answers."""
    return requests.get(OTHER_URL, timeout=60).text == "mine"


class TestMock:
    def test_mock__client_after_a_revocation(self):
        """The ready client goes on with another token when tokens are revoked."""
        with Sandbox().mock() as wechat:
            wechat.client.get_delivery_list()
            wechat.revoke_tokens()
            carriers = wechat.client.get_delivery_list()

        assert "Interparcel" == carriers[0].delivery_name
        assert [0, 0] == [call.errcode for call in wechat.calls]

    def test_mock__shares_the_world(self):
        """The view and the sandbox are one world."""
        sandbox = Sandbox()
        with sandbox.mock() as wechat:
            token = wechat.client.trace_waybill(**REGISTRATION)
            sandbox.fail("query_trace", errcode=9300559)

            with pytest.raises(ApiError) as caught:
                wechat.client.query_trace(token)

        assert 9300559 == caught.value.errcode
        assert wechat.calls == sandbox.calls
        assert wechat.clock is sandbox.clock
        assert wechat.appid == sandbox.appid

    def test_mock__hosts(self):
        """All WeChat hosts are answered."""
        with Sandbox().mock():
            assert 41001 == query("api.weixin.qq.com")
            assert 41001 == query("api2.weixin.qq.com")
            assert 41001 == query("sh.api.weixin.qq.com")
            assert 41001 == query("sz.api.weixin.qq.com")
            assert 41001 == query("hk.api.weixin.qq.com")

    def test_mock__unknown_path(self):
        """An unknown URL of WeChat fails, and the error lists the known ones."""
        with Sandbox().mock() as wechat:
            with pytest.raises(AssertionError) as caught:
                requests.post(
                    "https://api.weixin.qq.com/cgi-bin/message/send?access_token=abc",
                    timeout=60,
                )
            with pytest.raises(AssertionError):
                wechat.client.request("/cgi-bin/message/send", {})

        message = str(caught.value)
        assert "does not know api.weixin.qq.com/cgi-bin/message/send" in message
        assert "- /cgi-bin/express/delivery/open_msg/trace_waybill\n" in message
        assert "- /cgi-bin/stable_token\n" in message
        assert "abc" not in message

    def test_mock__other_hosts(self):
        """Nothing else reaches the network."""
        with Sandbox().mock():
            with pytest.raises(requests.ConnectionError, match="refused by Responses"):
                requests.get(OTHER_URL, timeout=60)

    def test_mock__ends(self):
        """After the block requests are what they were, after an error in it as well."""
        before = requests.adapters.HTTPAdapter.send
        with Sandbox().mock():
            assert before is not requests.adapters.HTTPAdapter.send
        assert before is requests.adapters.HTTPAdapter.send
        with pytest.raises(ZeroDivisionError):
            with Sandbox().mock():
                raise ZeroDivisionError
        assert before is requests.adapters.HTTPAdapter.send
        assert [] == responses.registered()

    def test_mock__delay_moves_the_clock(self):
        """Nothing sleeps for a delay: the sandbox's time passes instead."""
        sandbox = Sandbox(clock=None)
        with sandbox.mock():
            sandbox.fail("query_trace", delay=4)
            before = sandbox.clock.now()
            query()
            sandbox.fail("query_trace", delay=600, times=6)
            total, read = urllib3.Timeout(total=5), urllib3.Timeout(read=5)
            for timeout in (5, (5, 5), total, total, read):
                with pytest.raises(requests.ReadTimeout):
                    requests.post(QUERY_URL, timeout=timeout)  # type: ignore[arg-type]
            requests.post(QUERY_URL, timeout=None)

        assert 628 <= sandbox.clock.now() - before < 700

    @pytest.mark.parametrize(
        ("body", "media_type"),
        [
            (BODY.decode(), "application/json"),
            (BODY, b"application/json"),
            (bytearray(BODY), "application/json"),
            (memoryview(BODY), "application/json"),
            (io.BytesIO(BODY), "application/json"),
            (io.StringIO(BODY.decode()), "application/json"),
        ],
    )
    def test_mock__body(self, body, media_type):
        """A body and a header may be of any type that `requests` sends."""
        with Sandbox().mock() as wechat:
            response = requests.post(
                QUERY_URL,
                params={"access_token": wechat.access_token()},
                data=body,
                headers={"Content-Type": media_type},
                timeout=60,
            )

        assert 9300507 == response.json()["errcode"]


class TestOwnRules:
    """The sandbox together with the user's own `responses` rules."""

    @responses.activate
    def test_activate__inside(self):
        """Inside @responses.activate both answer."""
        responses.get(OTHER_URL, body="mine")

        with Sandbox().mock():
            assert 41001 == query()
            assert mine()

        assert mine()
        with pytest.raises(requests.ConnectionError, match="refused by Responses"):
            query()

    @responses.activate(assert_all_requests_are_fired=True)
    def test_activate__all_fired(self):
        """A sandbox that was not called does not count as a rule that was not fired."""
        with Sandbox().mock():
            pass

        mocked = Sandbox().mock()
        mocked.__enter__()

    def test_add__in_the_block(self):
        """Rules for other hosts can be added in the block, and end with it."""
        with Sandbox().mock():
            responses.get(OTHER_URL, body="mine")

            assert mine()
            assert 41001 == query()
            assert 2 == len(responses.calls)

        assert [] == responses.registered()

    def test_add__for_wechat(self):
        """A user's rule for a WeChat URL comes before the sandbox."""
        with Sandbox().mock():
            responses.post(QUERY_URL, json={"errcode": 1})

            assert [1, 1, 1] == [query(), query(), query()]
            assert 41001 == query("api2.weixin.qq.com")

    def test_rsps__own(self):
        """A RequestsMock of one's own can be handed in."""
        with responses.RequestsMock() as rsps:
            rsps.get(OTHER_URL, body="mine")
            with Sandbox().mock(rsps):
                assert 41001 == query()
                assert mine()

    def test_nested__inner_first(self):
        """Of two sandboxes the inner one answers, and then the outer one again."""
        outer, inner = Sandbox(), Sandbox()
        with outer.mock():
            query()
            with inner.mock():
                query()
                query()
            query()

        assert (2, 2) == (len(outer.calls), len(inner.calls))

    def test_nested__crosswise(self):
        """When the first to come leaves first, the other goes on."""
        before = requests.adapters.HTTPAdapter.send
        first, second = Sandbox(), Sandbox()
        one, two = first.mock(), second.mock()
        one.__enter__()
        two.__enter__()
        one.__exit__()

        query()
        two.__exit__()

        assert (0, 1) == (len(first.calls), len(second.calls))
        assert before is requests.adapters.HTTPAdapter.send
        assert [] == responses.registered()


class TestPlugin:
    @pytest.mark.parametrize("own", ["one", "another"])
    @responses.activate
    def test_wechat(self, wechat, own):
        """
        Each test has a fresh sandbox with a client, under @responses.activate as well.
        """
        responses.get(OTHER_URL, body="mine")
        assert [] == wechat.calls

        wechat.client.trace_waybill(**REGISTRATION)

        assert ["trace_waybill"] == [call.endpoint for call in wechat.calls]
        assert mine()

    @pytest.mark.once
    def test_wechat__not_asked_for(self, tmp_path):
        """A test run without the fixture loads no library of an extra's."""
        (tmp_path / "test_it.py").write_text(
            "import sys\n"
            "def test_it(request):\n"
            "    assert request.config.pluginmanager.hasplugin('wxlogistics')\n"
            "    assert 'responses' not in sys.modules\n"
            "    assert 'h11' not in sys.modules\n"
        )

        argv = "-m pytest -q -p no:cacheprovider .".split()
        done = run_python(*argv, cwd=tmp_path)

        assert 0 == done.returncode, done.stdout


class TestImports:
    @pytest.mark.once
    @pytest.mark.parametrize(
        ("code", "names"),
        [
            ("import wxlogistics", ["wxlogistics.sandbox"]),
            (
                "from wxlogistics.sandbox import Sandbox; Sandbox().access_token()",
                ["h11", "jinja2", "responses", "pytest"],
            ),
        ],
    )
    def test_import(self, code, names):
        """The core does not load the sandbox, nor that its doors' libraries."""
        look = f"import sys; print([name for name in {names} if name in sys.modules])"

        assert "[]\n" == run_python("-c", f"{code}; {look}").stdout

    def test_import__missing(self, monkeypatch):
        """Without responses the error names what to install."""
        monkeypatch.setitem(sys.modules, "responses", None)
        monkeypatch.delitem(sys.modules, "wxlogistics.sandbox.mock", False)

        with pytest.raises(ImportError, match=r"pip install 'wxlogistics\[testing\]'"):
            Sandbox().mock()
