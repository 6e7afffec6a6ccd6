"""A bad argument is named, and nothing is sent."""

from __future__ import annotations

from typing import Any, Callable

import pytest
import requests
import responses

from wxlogistics import Client, GoodsDetail, GoodsInfo, InvalidArgumentError

GOODS = GoodsInfo([GoodsDetail("围巾", "https://img.example.com/1.jpg")])

REGISTER: dict[str, Any] = {
    "openid": "ovtZW4yB7DIj3CxOb6ii-nk4HhFo",
    "waybill_id": "SF1234567890123",
    "receiver_phone": "13800138000",
    "goods_info": GOODS,
}
QUERY: dict[str, Any] = {"waybill_token": "x"}
UPDATE: dict[str, Any] = {"waybill_token": "x", "goods_info": GOODS}

#: What each method cannot do without.
REQUIRED = {
    "trace_waybill": REGISTER,
    "query_trace": QUERY,
    "update_waybill_goods": UPDATE,
    "follow_waybill": REGISTER,
    "query_follow_trace": QUERY,
    "update_follow_waybill_goods": UPDATE,
}

#: What each method takes beside; extra apart.
OPTIONAL = {
    "trace_waybill": ["sender_phone", "trans_id", "delivery_id", "order_detail_path"],
    "query_trace": ["openid"],
    "update_waybill_goods": ["openid"],
    "follow_waybill": ["sender_phone", "trans_id", "delivery_id", "order_detail_path"],
    "query_follow_trace": ["openid"],
    "update_follow_waybill_goods": ["openid"],
}

REQUIRED_TEXTS = [
    (method, field)
    for method, arguments in REQUIRED.items()
    for field in arguments
    if field != "goods_info"
]
OPTIONAL_TEXTS = [
    (method, field) for method, fields in OPTIONAL.items() for field in fields
]
WITH_GOODS = [method for method in REQUIRED if "goods_info" in REQUIRED[method]]

EMPTY = "is empty; give its value"
EMPTY_OPTION = "is empty; give its value, or None"


class Text(str):
    """A str all the same."""


@pytest.fixture
def refused(
    rsps: responses.RequestsMock, client: Client
) -> Callable[..., InvalidArgumentError]:
    """Makes a call that must be refused before anything is sent."""

    def refused(method: str, *args: Any, **arguments: Any) -> InvalidArgumentError:
        with pytest.raises(InvalidArgumentError) as caught:
            getattr(client, method)(*args, **arguments)
        assert 0 == len(rsps.calls)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        return caught.value

    return refused


class TestTexts:
    def test_rows__every_method_and_field(self) -> None:
        """The rows of this file are those of the document."""
        assert 10 == len(REQUIRED_TEXTS)
        assert 12 == len(OPTIONAL_TEXTS)
        assert 4 == len(WITH_GOODS)

    @pytest.mark.parametrize(
        "value, problem",
        [
            ("", EMPTY),
            ("  ", EMPTY),
            ("\t\n\u3000", EMPTY),
            (None, "is of type NoneType; give a str"),
            (5, "is of type int; give a str"),
            (0, "is of type int; give a str"),
            (True, "is of type bool; give a str"),
            (b"x", "is of type bytes; give a str"),
            (["x"], "is of type list; give a str"),
            ("x\ud83d", "holds half a character; give whole Unicode"),
            ("围\udce5巾", "holds half a character; give whole Unicode"),
        ],
        ids=ascii,
    )
    @pytest.mark.parametrize("method, field", REQUIRED_TEXTS)
    def test_required__no_text(
        self, refused: Any, method: str, field: str, value: object, problem: str
    ) -> None:
        """A required value is text that says something."""
        error = refused(method, **{**REQUIRED[method], field: value})

        assert field == error.field
        assert problem == error.problem

    @pytest.mark.parametrize(
        "value, problem",
        [
            ("", EMPTY_OPTION),
            (" ", EMPTY_OPTION),
            (5, "is of type int; give a str"),
            (b"x", "is of type bytes; give a str"),
            ("\udfff", "holds half a character; give whole Unicode"),
        ],
        ids=ascii,
    )
    @pytest.mark.parametrize("method, field", OPTIONAL_TEXTS)
    def test_optional__no_text(
        self, refused: Any, method: str, field: str, value: object, problem: str
    ) -> None:
        """A value that may be left out is text too, when it is given."""
        error = refused(method, **REQUIRED[method], **{field: value})

        assert field == error.field
        assert problem == error.problem

    @pytest.mark.parametrize("method, field", REQUIRED_TEXTS)
    def test_required__left_out(
        self, client: Client, rsps: responses.RequestsMock, method: str, field: str
    ) -> None:
        """Python itself asks for what is required."""
        arguments = {**REQUIRED[method]}
        del arguments[field]
        with pytest.raises(TypeError, match=field):
            getattr(client, method)(**arguments)

        assert 0 == len(rsps.calls)

    @pytest.mark.parametrize(
        "value", ["a", "a b", Text("a"), "📦", "a\x00b", "x" * 9999]
    )
    def test_required__any_text(
        self, client: Client, rsps: responses.RequestsMock, value: str
    ) -> None:
        """What WeChat makes of a text is WeChat's affair."""
        rsps.post(
            "https://api.weixin.qq.com/cgi-bin/express/delivery/open_msg/query_trace",
            json={"waybill_info": {"status": 4}},
        )

        assert client.query_trace(value).status == 4

    @pytest.mark.parametrize("value", ["SF1\n", " SF2 ", "\tSF3", "SF4\u3000", "SF5\r"])
    @pytest.mark.parametrize("method, field", REQUIRED_TEXTS + OPTIONAL_TEXTS)
    def test_text__blank_around_it(
        self, refused: Any, method: str, field: str, value: str
    ) -> None:
        """
        A blank or a line's end around a value is refused: WeChat would not find it.
        """
        arguments = {**REQUIRED[method], field: value}
        error = refused(method, **arguments)

        assert field == error.field
        assert (
            "begins or ends with a blank or a line's end; strip() it" == error.problem
        )


@pytest.mark.parametrize("method", WITH_GOODS)
class TestGoods:
    @pytest.mark.parametrize(
        "value, kind",
        [
            (None, "NoneType"),
            (5, "int"),
            ("围巾", "str"),
            ({"detail_list": []}, "dict"),
            ([GoodsDetail("围巾", "")], "list"),
            (GoodsDetail("围巾", ""), "GoodsDetail"),
        ],
    )
    def test_goods_info__of_another_type(
        self, refused: Any, method: str, value: object, kind: str
    ) -> None:
        """Goods come as a GoodsInfo."""
        error = refused(method, **{**REQUIRED[method], "goods_info": value})

        assert "goods_info" == error.field
        assert f"is of type {kind}; give a GoodsInfo" == error.problem

    @pytest.mark.parametrize("count", [0, 11, 100])
    def test_detail_list__of_another_length(
        self, refused: Any, method: str, count: int
    ) -> None:
        """WeChat answers more than ten with a permanent -1, so they are not sent."""
        goods_info = GoodsInfo([GoodsDetail("围巾", "")] * count)
        error = refused(method, **{**REQUIRED[method], "goods_info": goods_info})

        assert "goods_info.detail_list" == error.field
        assert f"holds {count} entries; WeChat takes 1 to 10" == error.problem

    @pytest.mark.parametrize(
        "detail, kind",
        [
            (None, "NoneType"),
            ("围巾", "str"),
            ({"goods_name": "围巾", "goods_img_url": ""}, "dict"),
            (("围巾", ""), "tuple"),
            (GOODS, "GoodsInfo"),
        ],
    )
    def test_detail_list__element_of_another_type(
        self, refused: Any, method: str, detail: Any, kind: str
    ) -> None:
        """Each of the goods is a GoodsDetail; the error counts from 0."""
        goods_info = GoodsInfo([GoodsDetail("围巾", ""), detail])
        error = refused(method, **{**REQUIRED[method], "goods_info": goods_info})

        assert "goods_info.detail_list[1]" == error.field
        assert f"is of type {kind}; give a GoodsDetail" == error.problem

    @pytest.mark.parametrize(
        "detail, field, problem",
        [
            (GoodsDetail("", ""), "goods_name", EMPTY),
            (GoodsDetail(" ", ""), "goods_name", EMPTY),
            (GoodsDetail(None, ""), "goods_name", "is of type NoneType; give a str"),
            (
                GoodsDetail(7, ""),  # type: ignore[arg-type]
                "goods_name",
                "is of type int; give a str",
            ),
            (
                GoodsDetail(b"x", ""),  # type: ignore[arg-type]
                "goods_name",
                "is of type bytes; give a str",
            ),
            (
                GoodsDetail("\ud83d", ""),
                "goods_name",
                "holds half a character; give whole Unicode",
            ),
            (
                GoodsDetail("围巾", None),
                "goods_img_url",
                'is of type NoneType; give a str, "" for no image',
            ),
            (
                GoodsDetail("围巾", b""),  # type: ignore[arg-type]
                "goods_img_url",
                "is of type bytes; give a str",
            ),
            (GoodsDetail("围巾", " "), "goods_img_url", EMPTY),
            (
                GoodsDetail("围巾", "", 7),  # type: ignore[arg-type]
                "goods_desc",
                "is of type int; give a str",
            ),
        ],
    )
    def test_detail_list__element_without_text(
        self, refused: Any, method: str, detail: GoodsDetail, field: str, problem: str
    ) -> None:
        """
        Each of the goods has a name and an image URL; the error says which has not.
        """
        goods_info = GoodsInfo([GoodsDetail("围巾", ""), detail])
        error = refused(method, **{**REQUIRED[method], "goods_info": goods_info})

        assert f"goods_info.detail_list[1].{field}" == error.field
        assert problem == error.problem


class TestGoodsInfo:
    @pytest.mark.parametrize(
        "value, kind",
        [
            ("围巾", "str"),
            (b"x", "bytes"),
            ({"goods_name": "围巾", "goods_img_url": ""}, "dict"),
            (None, "NoneType"),
            (5, "int"),
            (GoodsDetail("围巾", ""), "GoodsDetail"),
        ],
    )
    def test_detail_list__no_list(self, value: Any, kind: str) -> None:
        """A str or a dict is iterable too, and would be taken apart in silence."""
        with pytest.raises(InvalidArgumentError) as caught:
            GoodsInfo(value)

        assert "goods_info.detail_list" == caught.value.field
        assert f"is of type {kind}; give a list of GoodsDetail" == caught.value.problem


@pytest.mark.parametrize("method", REQUIRED)
class TestExtra:
    @pytest.mark.parametrize(
        "extra, kind",
        [([], "list"), ("x", "str"), (5, "int"), (False, "bool"), ([("a", 1)], "list")],
    )
    def test_extra__no_mapping(
        self, refused: Any, method: str, extra: object, kind: str
    ) -> None:
        """More parameters come as a dict."""
        error = refused(method, **REQUIRED[method], extra=extra)

        assert "extra" == error.field
        assert f"is of type {kind}; give a dict" == error.problem

    @pytest.mark.parametrize(
        "extra, field",
        [
            ({"good": 1, "bad": object()}, "bad"),
            ({"bad": b"x"}, "bad"),
            ({"bad": {1, 2}}, "bad"),
            ({"bad": [float("nan")]}, "bad"),
            ({"bad": float("inf")}, "bad"),
            ({"bad": "x\ud83d"}, "bad"),
            ({"bad": {"deep": ["\udfff"]}}, "bad"),
            ({"bad": {("a", "b"): 1}}, "bad"),
            ({("a", "b"): 1}, "extra"),
            ({"\ud83d": 1}, "extra"),
            ({"bad": GOODS}, "bad"),
        ],
        ids=ascii,
    )
    def test_extra__not_json(
        self, refused: Any, method: str, extra: dict[Any, Any], field: str
    ) -> None:
        """What is no JSON is named by its key."""
        error = refused(method, **REQUIRED[method], extra=extra)

        assert field == error.field
        assert (
            "cannot be written as JSON; give whole Unicode, finite numbers, lists and "
            "dicts only" == error.problem
        )

    def test_extra__holds_itself(self, refused: Any, method: str) -> None:
        """A dict that holds itself has no end."""
        extra: dict[str, Any] = {}
        extra["bad"] = extra
        error = refused(method, **REQUIRED[method], extra=extra)

        assert "bad" == error.field

    def test_extra__too_deep(self, refused: Any, method: str) -> None:
        """A list in a list in a list … has an end, but the stack has it sooner."""
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        error = refused(method, **REQUIRED[method], extra={"bad": deep})

        assert "bad" == error.field


class TestRequest:
    @pytest.mark.parametrize(
        "path",
        [
            "",
            "cgi-bin/test",
            "https://api.weixin.qq.com/cgi-bin/test",
            "https://evil.example/",
            "@evil.example/",
            ".evil.example/",
            ":8080/",
            "/cgi-bin/test?a=b",
            "/cgi-bin/test?access_token=x",
            "/cgi-bin/test#a",
            "/cgi-bin/te st",
            "/cgi-bin/test\n",
            "/cgi-bin/test\r\nHost: evil.example",
            "/cgi-bin/查询",
            "/a@b",
            "\\\\evil.example\\",
            " /cgi-bin/test",
            None,
            5,
            b"/cgi-bin/test",
        ],
    )
    def test_path__not_a_path(self, refused: Any, path: object) -> None:
        """A path leads nowhere but to WeChat, and carries no second token."""
        error = refused("request", path, {})

        assert "path" == error.field
        assert (
            "is not like /cgi-bin/…: a path alone, without host or query"
            == error.problem
        )

    @pytest.mark.parametrize(
        "payload, kind",
        [
            (None, "NoneType"),
            ([], "list"),
            ("{}", "str"),
            (b"{}", "bytes"),
            ([("a", 1)], "list"),
        ],
    )
    def test_payload__no_mapping(
        self, refused: Any, payload: object, kind: str
    ) -> None:
        """WeChat takes JSON objects."""
        error = refused("request", "/cgi-bin/test", payload)

        assert "payload" == error.field
        assert f"is of type {kind}; give a dict" == error.problem

    def test_payload__not_json(self, refused: Any) -> None:
        """What is no JSON is named by its key."""
        error = refused("request", "/cgi-bin/test", {"a": 1, "b": {"c": b"x"}})

        assert "b" == error.field


class TestClient:
    @pytest.mark.parametrize(
        "base_url",
        [
            "",
            " ",
            "api.weixin.qq.com",
            "//api.weixin.qq.com",
            "https://",
            "https:///cgi-bin",
            "ftp://api.weixin.qq.com",
            "file:///etc/passwd",
            "https://user:pass@api.weixin.qq.com",
            "https://user@api.weixin.qq.com",
            "https://api.weixin.qq.com?a=b",
            "https://api.weixin.qq.com/?a=b",
            "https://api.weixin.qq.com/#a",
            "https://api.weixin.qq.com:port",
            "https://api.weixin.qq.com:99999",
            "https://.",
            "http://[1:2]",
            "https://api.weixin.qq.com\n",
            "https://api.weixin.qq.com/a b",
            "https://微信.example",
            [],
            (),
            ["https://api.weixin.qq.com", "api2.weixin.qq.com"],
            ["https://api.weixin.qq.com", None],
            b"https://api.weixin.qq.com",
            None,
            5,
        ],
    )
    def test_base_url__no_host(self, base_url: Any) -> None:
        """
        A host is a scheme and a name, perhaps a port and a path, and nothing else.
        """
        with pytest.raises(InvalidArgumentError) as caught:
            Client("ACCESS_TOKEN", base_url=base_url)

        assert "base_url" == caught.value.field

    @pytest.mark.parametrize(
        "base_url",
        [
            "https://api.weixin.qq.com",
            "HTTPS://api.weixin.qq.com/",
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
            "http://localhost/wechat/v1/",
            "http://wechat_proxy:80",
            ("https://api.weixin.qq.com", "https://api2.weixin.qq.com"),
            ["https://api.weixin.qq.com"],
        ],
    )
    def test_base_url__a_host(self, base_url: Any) -> None:
        """One host, or several."""
        assert Client("ACCESS_TOKEN", base_url=base_url) is not None

    @pytest.mark.parametrize(
        "timeout",
        [
            None,
            0,
            -1,
            True,
            "5",
            float("nan"),
            (None, 5),
            (3, None),
            (3, 5, 7),
            (),
            (0, 5),
            (3, -1),
            ("3", 5),
            [3, 5],
        ],
    )
    def test_timeout__no_seconds(self, timeout: Any) -> None:
        """A call that could wait for ever is none."""
        with pytest.raises(InvalidArgumentError) as caught:
            Client("ACCESS_TOKEN", timeout=timeout)

        assert "timeout" == caught.value.field
        assert "is not a number of seconds above 0" == caught.value.problem

    @pytest.mark.parametrize("session", [5, object(), requests.Session, "session"])
    def test_session__none(self, session: Any) -> None:
        """What is no session of requests' is refused when the client is made."""
        with pytest.raises(InvalidArgumentError) as caught:
            Client("ACCESS_TOKEN", session=session)

        assert "session" == caught.value.field
        assert (
            f"is of type {type(session).__name__}; give a requests.Session"
            == caught.value.problem
        )

    @pytest.mark.parametrize("deadline", [None, 0, -1, True, "60", (60,), float("nan")])
    def test_deadline__no_seconds(self, deadline: Any) -> None:
        """A call without an end is none."""
        with pytest.raises(InvalidArgumentError) as caught:
            Client("ACCESS_TOKEN", deadline=deadline)

        assert "deadline" == caught.value.field
        assert "is not a number of seconds above 0" == caught.value.problem

    @pytest.mark.parametrize("retries", [-1, 1.0, None, True, "2", float("inf")])
    def test_retries__no_number(self, retries: Any) -> None:
        """Repeats are counted in whole numbers."""
        with pytest.raises(InvalidArgumentError) as caught:
            Client("ACCESS_TOKEN", retries=retries)

        assert "retries" == caught.value.field
        assert "is not a whole number from 0" == caught.value.problem

    @pytest.mark.parametrize("option", ["time_out", "proxies", "appid"])
    def test_init__misspelt(self, option: str) -> None:
        """An option that does not exist is not taken in silence."""
        with pytest.raises(TypeError, match=option):
            Client("ACCESS_TOKEN", **{option: 1})  # type: ignore[arg-type]
