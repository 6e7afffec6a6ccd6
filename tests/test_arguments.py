"""A bad argument is named, and nothing is sent."""

from typing import Any, Callable

import pytest
import requests
from private import GOODS, REQUIRED
from responses import RequestsMock

from wxlogistics import Client, GoodsDetail, GoodsInfo, InvalidArgumentError

#: What each method takes beside; extra apart.
OPTIONAL = {
    **dict.fromkeys(REQUIRED, ["openid"]),
    **dict.fromkeys(
        ["trace_waybill", "follow_waybill"],
        ["sender_phone", "trans_id", "delivery_id", "order_detail_path"],
    ),
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
HALF = "holds half a character; give whole Unicode"
BLANK = "begins or ends with a blank or a line's end; strip() it"
NOT_JSON = (
    "cannot be written as JSON; give whole Unicode, finite numbers, lists and "
    "dicts only"
)

#: Of a required text and of an optional one.
NO_TEXTS = [
    ("", EMPTY, EMPTY_OPTION),
    ("  ", EMPTY, EMPTY_OPTION),
    ("\t\n\u3000", EMPTY, EMPTY_OPTION),
    (5, "is of type int; give a str", None),
    (0, "is of type int; give a str", None),
    (True, "is of type bool; give a str", None),
    (b"x", "is of type bytes; give a str", None),
    (["x"], "is of type list; give a str", None),
    ("x\ud83d", HALF, None),
    ("围\udce5巾", HALF, None),
    ("SF1\n", BLANK, None),
    (" SF2 ", BLANK, None),
    ("\tSF3", BLANK, None),
    ("SF4\u3000", BLANK, None),
    ("SF5\r", BLANK, None),
]

TEXT: Any = type("Text", (str,), {})


@pytest.fixture
def refused(rsps: RequestsMock, client: Client) -> Callable[..., tuple[str, str]]:
    """Call a method whose argument is refused before anything is sent."""

    def refused(method: str, *args: Any, **arguments: Any) -> tuple[str, str]:
        with pytest.raises(InvalidArgumentError) as caught:
            getattr(client, method)(*args, **arguments)
        assert 0 == len(rsps.calls)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        return caught.value.field, caught.value.problem

    return refused


class TestTexts:
    @pytest.mark.parametrize("value, problem, of_an_option", NO_TEXTS, ids=ascii)
    def test_text__wrong(self, refused, value, problem, of_an_option):
        required = refused("query_trace", waybill_token=value)
        optional = refused("query_trace", waybill_token="x", openid=value)

        assert ("waybill_token", problem) == required
        assert ("openid", of_an_option or problem) == optional

    @pytest.mark.parametrize("value, problem", [("", EMPTY), (" x", BLANK)])
    @pytest.mark.parametrize("method, field", REQUIRED_TEXTS)
    def test_required__of_each_method(self, refused, method, field, value, problem):
        assert (field, problem) == refused(method, **REQUIRED[method] | {field: value})

    @pytest.mark.parametrize("value, problem", [("", EMPTY_OPTION), (" x", BLANK)])
    @pytest.mark.parametrize("method, field", OPTIONAL_TEXTS)
    def test_optional__of_each_method(self, refused, method, field, value, problem):
        assert (field, problem) == refused(method, **REQUIRED[method] | {field: value})

    @pytest.mark.parametrize("method, field", REQUIRED_TEXTS)
    def test_required__none_or_left_out(self, refused, client, method, field):
        arguments = {**REQUIRED[method], field: None}
        problem = "is of type NoneType; give a str"

        assert (field, problem) == refused(method, **arguments)
        del arguments[field]
        with pytest.raises(TypeError, match=field):
            getattr(client, method)(**arguments)

    @pytest.mark.parametrize(
        "value", ["a", "a b", TEXT("a"), "📦", "a\x00b", "x" * 9999]
    )
    def test_required__any_text(self, client, rsps, value):
        """WeChat judges what a text says, not the client."""
        rsps.post(
            "https://api.weixin.qq.com/cgi-bin/express/delivery/open_msg/query_trace",
            json={"waybill_info": {"status": 4}},
        )

        assert client.query_trace(value).status == 4


ONE = GoodsDetail("围巾", "")


def goods(*details: Any) -> GoodsInfo:
    return GoodsInfo(details)


#: Wrong goods, and what is said of them.
NO_GOODS: list[tuple[Any, str, str]] = [
    (None, "goods_info", "is of type NoneType; give a GoodsInfo"),
    (5, "goods_info", "is of type int; give a GoodsInfo"),
    ("围巾", "goods_info", "is of type str; give a GoodsInfo"),
    ({"detail_list": []}, "goods_info", "is of type dict; give a GoodsInfo"),
    ([ONE], "goods_info", "is of type list; give a GoodsInfo"),
    (ONE, "goods_info", "is of type GoodsDetail; give a GoodsInfo"),
    # WeChat answers more than ten with a permanent -1.
    *(
        (goods(*[ONE] * count), "goods_info.detail_list", problem)
        for count, problem in [
            (0, "holds 0 entries; WeChat takes 1 to 10"),
            (11, "holds 11 entries; WeChat takes 1 to 10"),
            (100, "holds 100 entries; WeChat takes 1 to 10"),
        ]
    ),
    # The error counts from 0.
    *(
        (goods(ONE, detail), f"goods_info.detail_list[1]{field}", problem)
        for detail, field, problem in [
            (None, "", "is of type NoneType; give a GoodsDetail"),
            ("围巾", "", "is of type str; give a GoodsDetail"),
            ({"goods_name": "围巾"}, "", "is of type dict; give a GoodsDetail"),
            (("围巾", ""), "", "is of type tuple; give a GoodsDetail"),
            (GOODS, "", "is of type GoodsInfo; give a GoodsDetail"),
        ]
    ),
    *(
        (goods(ONE, GoodsDetail(*texts)), f"goods_info.detail_list[1].{field}", problem)
        for texts, field, problem in [
            (("", ""), "goods_name", EMPTY),
            ((" ", ""), "goods_name", EMPTY),
            ((None, ""), "goods_name", "is of type NoneType; give a str"),
            ((7, ""), "goods_name", "is of type int; give a str"),
            ((b"x", ""), "goods_name", "is of type bytes; give a str"),
            (("\ud83d", ""), "goods_name", HALF),
            (
                ("围巾", None),
                "goods_img_url",
                'is of type NoneType; give a str, "" for no image',
            ),
            (("围巾", b""), "goods_img_url", "is of type bytes; give a str"),
            (("围巾", " "), "goods_img_url", EMPTY),
            (("围巾", "", 7), "goods_desc", "is of type int; give a str"),
        ]
    ),
]


class TestGoods:
    @pytest.mark.parametrize("value, field, problem", NO_GOODS, ids=ascii)
    def test_goods_info__wrong(self, refused, value, field, problem):
        error = refused("update_waybill_goods", "x", value)

        assert (field, problem) == error

    @pytest.mark.parametrize("method", WITH_GOODS)
    def test_goods_info__of_each_method(self, refused, method):
        error = refused(method, **REQUIRED[method] | {"goods_info": None})

        assert ("goods_info", "is of type NoneType; give a GoodsInfo") == error

    @pytest.mark.parametrize(
        "value, kind",
        [
            ("围巾", "str"),
            (b"x", "bytes"),
            ({"goods_name": "围巾", "goods_img_url": ""}, "dict"),
            (None, "NoneType"),
            (5, "int"),
            (ONE, "GoodsDetail"),
        ],
    )
    def test_detail_list__not_a_list(self, value, kind):
        """A str or a dict is iterable as well."""
        with pytest.raises(InvalidArgumentError) as caught:
            GoodsInfo(value)

        assert "goods_info.detail_list" == caught.value.field
        assert f"is of type {kind}; give a list of GoodsDetail" == caught.value.problem


ITSELF: dict[str, Any] = {}
ITSELF["bad"] = ITSELF
# It has an end, but the stack has it sooner.
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


class TestExtra:
    @pytest.mark.parametrize(
        "extra, kind",
        [([], "list"), ("x", "str"), (5, "int"), (False, "bool"), ([("a", 1)], "list")],
    )
    def test_extra__not_a_dict(self, refused, extra, kind):
        problem = f"is of type {kind}; give a dict"

        assert ("extra", problem) == refused("query_trace", "x", extra=extra)

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
            (ITSELF, "bad"),
            ({"bad": DEEP}, "bad"),
        ],
        ids=lambda value: "",
    )
    def test_extra__not_json(self, refused, extra, field):
        assert (field, NOT_JSON) == refused("query_trace", "x", extra=extra)

    @pytest.mark.parametrize("method", REQUIRED)
    def test_extra__of_each_method(self, refused, method):
        arguments = REQUIRED[method]

        assert "extra" == refused(method, **arguments, extra=[])[0]
        assert "bad" == refused(method, **arguments, extra={"bad": b"x"})[0]


class TestRequest:
    @pytest.mark.parametrize(
        "path",
        [
            *("", "cgi-bin/test", "https://api.weixin.qq.com/cgi-bin/test"),
            *("https://evil.example/", "@evil.example/", ".evil.example/", ":8080/"),
            *("/cgi-bin/test?a=b", "/cgi-bin/test?access_token=x", "/cgi-bin/test#a"),
            *("/cgi-bin/te st", "/cgi-bin/test\n"),
            *("/cgi-bin/test\r\nHost: evil.example", "/cgi-bin/查询", "/a@b"),
            *("\\\\evil.example\\", " /cgi-bin/test", None, 5, b"/cgi-bin/test"),
        ],
    )
    def test_path__not_a_path(self, refused, path):
        problem = "is not like /cgi-bin/…: a path alone, without host or query"

        assert ("path", problem) == refused("request", path, {})

    @pytest.mark.parametrize(
        "payload, field, problem",
        [
            (None, "payload", "is of type NoneType; give a dict"),
            ([], "payload", "is of type list; give a dict"),
            ("{}", "payload", "is of type str; give a dict"),
            (b"{}", "payload", "is of type bytes; give a dict"),
            ([("a", 1)], "payload", "is of type list; give a dict"),
            ({"a": 1, "b": {"c": b"x"}}, "b", NOT_JSON),
        ],
    )
    def test_payload__not_an_object(self, refused, payload, field, problem):
        assert (field, problem) == refused("request", "/cgi-bin/test", payload)


NO_SECONDS = "is not a number of seconds above 0"
NO_COUNT = "is not a whole number from 0"
NAN = float("nan")

#: What an option of Client is not, and what is said of it.
NO_OPTIONS: dict[str, tuple[str, list[Any]]] = {
    "timeout": (
        NO_SECONDS,
        [None, 0, -1, True, "5", NAN, (None, 5), (3, None), (3, 5, 7), (), (0, 5)]
        + [(3, -1), ("3", 5), [3, 5]],
    ),
    "deadline": (NO_SECONDS, [None, 0, -1, True, "60", (60,), NAN]),
    "retries": (NO_COUNT, [-1, 1.0, None, True, "2", float("inf")]),
    "session": (
        "is of type {}; give a requests.Session",
        [5, object(), requests.Session, "session"],
    ),
    "base_url": (
        "",
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
            "https://.wechat.invalid",
            "https://%41",
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
    ),
}


class TestClient:
    @pytest.mark.parametrize(
        "option, value, problem",
        [
            (option, value, problem)
            for option, (problem, values) in NO_OPTIONS.items()
            for value in values
        ],
    )
    def test_init__wrong_option(self, option, value, problem):
        options: Any = {option: value}
        with pytest.raises(InvalidArgumentError) as caught:
            Client("ACCESS_TOKEN", **options)

        assert option == caught.value.field
        if problem:
            assert problem.format(type(value).__name__) == caught.value.problem

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
    def test_base_url__accepted(self, base_url):
        assert Client("ACCESS_TOKEN", base_url=base_url) is not None

    @pytest.mark.parametrize("option", ["time_out", "proxies", "appid"])
    def test_init__unknown_option(self, option):
        with pytest.raises(TypeError, match=option):
            Client("ACCESS_TOKEN", **{option: 1})
