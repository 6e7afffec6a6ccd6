"""Every errcode becomes its exception, and every exception survives a journey."""

import copy
import inspect
import json
import pickle
from typing import Any, Callable

import pytest
from private import SAMPLES

import wxlogistics
from wxlogistics import errors
from wxlogistics.errors import (
    ERRCODES,
    AccessTokenError,
    AccessTokenExpiredError,
    ApiError,
    CallLimitError,
    CredentialError,
    DailyQuotaError,
    GoodsImageError,
    InvalidArgumentError,
    IpNotAllowedError,
    MalformedRequestError,
    NotAuthorizedError,
    OpenidError,
    OpenidMismatchError,
    QuotaError,
    RateLimitError,
    SystemBusyError,
    TransportError,
    UnexpectedResponseError,
    UpdateLimitError,
    WaybillNotFoundError,
    WaybillTokenError,
    WxLogisticsError,
    api_error,
)

RID = "634bb0cb-6dc8b467-065d137e"

#: The refusals really seen, by the name of their sample: class, rid and detail.
SAMPLED = {
    "-1": (SystemBusyError, "64254aac-5d5bb128-5d8aa557", "未知异常,请稍后重试"),
    "40001": (AccessTokenError, "654df33c-64386a2f-29857782", None),
    "40002": (MalformedRequestError, "64b09fbb-56b7faa9-1054a9fe", None),
    "40003": (OpenidError, "634bb0cb-6dc8b467-065d137e", "openid错误"),
    "40013": (CredentialError, "60b6faee-52db30c5-352fb162", None),
    "40066": (MalformedRequestError, "661633da-30391928-0300468b", None),
    "40125": (CredentialError, "6268c73d-394b60eb-228e8df8", None),
    "40164": (IpNotAllowedError, "68231586-663e56da-1e04e5eb", None),
    "41001": (AccessTokenError, "5f9a0b1c-2d3e4f50-61728394", None),
    "41002": (CredentialError, "65d18a29-198644ab-6e38456f", None),
    "41004": (CredentialError, "65b38743-6a944608-679bfd15", None),
    "42001": (AccessTokenExpiredError, "66c669e3-210a005b-256a5f92", None),
    "44002": (MalformedRequestError, "68342b46-15ec9b49-1dfe1153", None),
    "45009": (DailyQuotaError, "68d49773-32044106-7794eb1b", None),
    "45009 of a second": (RateLimitError, "67a85758-1a2b3c4d-5e6f7081", None),
    "45011": (RateLimitError, "5fb1e22f-15e0407f-00233e18", None),
    "47001": (MalformedRequestError, "660b9544-253907dd-3cda6773", None),
    "48001": (NotAuthorizedError, "641d331a-0cc26ad8-622c0751", None),
    "61003": (NotAuthorizedError, "67a30dc9-302ecc6c-11466d6f", None),
    "61004": (IpNotAllowedError, "62a9a3ac-204f22d9-196a7580", None),
    "61007": (NotAuthorizedError, "5f225930-577520eb-7cf1aae7", None),
    "61023": (CredentialError, "6351110b-3677a1ed-080b10ce", None),
    "931023": (WaybillNotFoundError, "66557522-735e87a4-648726cc", "运单不存在"),
    "9300507": (
        WaybillTokenError,
        "61e2813f-1aded077-0adf79d4",
        "waybill_token参数错误",
    ),
    "9300534": (
        OpenidMismatchError,
        "6267d37b-6053c6e0-47db77ba",
        "access_token与openid不匹配",
    ),
    "9300561": (GoodsImageError, "66b9b82f-4cec9e34-26189adf", None),
}

#: Errcodes without a sample, with made-up texts; the last is unknown.
OTHERS = [
    (40014, "invalid access_token", AccessTokenError),
    (40243, "AppSecret is frozen", CredentialError),
    (43002, "require POST method", MalformedRequestError),
    (45009, "reach max api minute frequence limit", RateLimitError),
    (50002, "user limited", NotAuthorizedError),
    (50004, "forbidden token interface", NotAuthorizedError),
    (9300513, "", CallLimitError),
    (9300559, "", WaybillNotFoundError),
    (9300560, "", UpdateLimitError),
    # Only -1 is busy; WeChat has other errcodes below zero.
    (-80, "system", ApiError),
]

#: One of each class, its bases, and whether a repeat is worth it.
CLASSES: list[tuple[WxLogisticsError, tuple[type, ...], bool]] = [
    (InvalidArgumentError("openid", "is empty"), (WxLogisticsError, ValueError), False),
    (TransportError("query_trace", "no answer", True), (WxLogisticsError,), True),
    (TransportError("query_trace", "no host", False), (WxLogisticsError,), True),
    (
        UnexpectedResponseError("query_trace", 404, "<html>", "not WeChat's answer"),
        (WxLogisticsError,),
        False,
    ),
    (ApiError("query_trace", 933001, "some refusal"), (WxLogisticsError,), False),
    (SystemBusyError("trace_waybill", -1, "system error"), (ApiError,), True),
    (OpenidError("trace_waybill", 40003, "invalid openid"), (ApiError,), False),
    (OpenidMismatchError("trace_waybill", 9300534, "not same"), (ApiError,), False),
    (WaybillTokenError("query_trace", 9300507, "invalid token"), (ApiError,), False),
    (WaybillNotFoundError("query_trace", 931023, "not exist"), (ApiError,), False),
    (GoodsImageError("trace_waybill", 9300561, "图片url错误"), (ApiError,), False),
    (QuotaError("query_trace", 933002, "quota"), (ApiError,), False),
    (CallLimitError("query_trace", 9300513, ""), (QuotaError,), False),
    (UpdateLimitError("update_waybill_goods", 9300560, ""), (QuotaError,), False),
    (DailyQuotaError("query_trace", 45009, "daily quota"), (QuotaError,), False),
    (RateLimitError("query_trace", 45009, "of a second"), (QuotaError,), True),
    (AccessTokenError("query_trace", 40001, "invalid credential"), (ApiError,), False),
    (
        AccessTokenExpiredError("query_trace", 42001, "access_token expired"),
        (AccessTokenError,),
        False,
    ),
    (CredentialError("stable_token", 40013, "invalid appid"), (ApiError,), False),
    (
        IpNotAllowedError("query_trace", 40164, "invalid ip 203.0.113.7"),
        (ApiError,),
        False,
    ),
    (NotAuthorizedError("query_trace", 48001, "api unauthorized"), (ApiError,), False),
    (MalformedRequestError("query_trace", 47001, "format error"), (ApiError,), False),
]


def sampled(name: str) -> tuple[int, str]:
    code, _, second = name.partition(" of a ")
    file = f"error.{code}.reply.{second}.json" if second else f"error.{code}.reply.json"
    reply = json.loads((SAMPLES / file).read_bytes())
    assert reply.keys() == {"errcode", "errmsg"}
    return reply["errcode"], reply["errmsg"]


class TestErrcodes:
    @pytest.mark.parametrize("name", SAMPLED)
    def test_api_error__of_a_sample(self, name):
        expected, rid, detail = SAMPLED[name]
        errcode, errmsg = sampled(name)
        error = api_error("query_trace", errcode, errmsg)

        assert expected is type(error)
        assert int(name.split()[0]) == errcode
        assert ("query_trace", errcode, errmsg) == (
            error.endpoint,
            error.errcode,
            error.errmsg,
        )
        assert (rid, detail) == (error.rid, error.detail)

    @pytest.mark.parametrize("errcode, errmsg, expected", OTHERS)
    def test_api_error__without_a_sample(self, errcode, errmsg, expected):
        error = api_error("query_trace", errcode, errmsg)

        assert expected is type(error)
        assert (errcode, errmsg, None) == (error.errcode, error.errmsg, error.rid)

    def test_errcodes__each_has_a_row(self):
        codes = {int(name.split()[0]) for name in SAMPLED}

        assert codes | {row[0] for row in OTHERS} == {*ERRCODES, -80}
        assert len(SAMPLED) == len(list(SAMPLES.glob("error.*")))

    def test_errcodes__meaning_and_advice(self):
        for errcode, row in ERRCODES.items():
            advice = api_error("query_trace", errcode, "").advice

            assert row.meaning
            assert "Look the errcode up" not in advice
            assert advice.endswith(".") and ". " not in advice
        assert {
            -1: "系统错误",
            9300560: "达到修改次数上限",
            40003: "openid参数错误",
            9300534: "access_token与openid参数不匹配",
            9300513: "调用次数达到上限",
            9300507: "waybill_token参数错误",
            9300559: "运单不存在",
        }.items() <= {code: row.meaning for code, row in ERRCODES.items()}.items()

    def test_errcodes__read_only(self):
        with pytest.raises(TypeError):
            ERRCODES[1] = ERRCODES[-1]

    @pytest.mark.parametrize(
        "errcode, errmsg, advice",
        [
            (
                933001,
                "some new refusal",
                "Look the errcode up in WeChat's document, or quote the rid to its "
                "staff.",
            ),
            (
                45009,
                "reach max api daily quota limit",
                "Go on after midnight, China time; the quota is per day.",
            ),
            (
                45009,
                "reach max api second frequence limit",
                "Wait for the next second or minute, then call at a slower pace.",
            ),
        ],
    )
    def test_advice__unknown_and_45009(self, errcode, errmsg, advice):
        assert advice == api_error("query_trace", errcode, errmsg).advice


class TestTexts:
    @pytest.mark.parametrize(
        "error, text",
        [
            (
                ApiError("query_trace", 931023, f"no detail: [运单] rid: {RID}"),
                f"query_trace: no detail: [运单] (errcode 931023, rid {RID})",
            ),
            (
                ApiError("query_trace", 40003, f"invalid openidrid: {RID}"),
                f"query_trace: invalid openid (errcode 40003, rid {RID})",
            ),
            (
                ApiError("query_trace", 40003, "no such grid: 12"),
                "query_trace: no such grid: 12 (errcode 40003)",
            ),
            (
                SystemBusyError("trace_waybill", -1, "system error"),
                "trace_waybill: system error (errcode -1)",
            ),
            (
                CallLimitError("query_trace", 9300513, ""),
                "query_trace: no errmsg (errcode 9300513)",
            ),
            (
                SystemBusyError("query_trace", -1, " rid: 1-2-3"),
                "query_trace: no errmsg (errcode -1, rid 1-2-3)",
            ),
            (
                InvalidArgumentError(
                    "goods_info.detail_list[2].goods_name", "is empty"
                ),
                "goods_info.detail_list[2].goods_name: is empty",
            ),
            (
                TransportError("query_trace", "no answer within 20 s", True),
                "query_trace: no answer within 20 s (the request may have reached "
                "WeChat)",
            ),
            (
                TransportError("query_trace", "no answer within 20 s", False),
                "query_trace: no answer within 20 s (the request was not sent)",
            ),
            (
                UnexpectedResponseError(
                    "query_trace", 404, "<html>\n<title>404", "bad"
                ),
                "query_trace: bad (HTTP 404, body begins '<html>\\n<title>404')",
            ),
        ],
    )
    def test_str__without_gaps(self, error, text):
        assert text == str(error)

    @pytest.mark.parametrize(
        "errmsg, rid",
        [
            (f"invalid openid rid: {RID}", RID),
            (f"data format error rid:{RID}", RID),
            (f"rid: {RID}", RID),
            (f"error detail: [错误]rid: {RID} ", RID),
            (f"invalid openidrid: {RID}", RID),
            (f"图片url错误rid: {RID}", RID),
            ("invalid credential hint: [Ha0417vr29-DJ1Xca]", "Ha0417vr29-DJ1Xca"),
            ("invalid credential hint:[Ha0417vr29]", "Ha0417vr29"),
            ("", None),
            ("ok", None),
            ("the grid: 7", None),
            (f"rid: {RID} is what staff asks for", None),
            ("hint: [] rid: ", None),
        ],
    )
    def test_rid__shapes(self, errmsg, rid):
        assert rid == ApiError("query_trace", 1, errmsg).rid

    @pytest.mark.parametrize(
        "errmsg, detail",
        [
            ("error detail: [未知异常,请稍后重试] rid: 1-2-3", "未知异常,请稍后重试"),
            ("system error detail:[未知异常]", "未知异常"),
            ("system error detail: []", ""),
            ("system error detail: 未知异常", None),
            ("system error", None),
            ("", None),
        ],
    )
    def test_detail__shapes(self, errmsg, detail):
        assert detail == ApiError("query_trace", 1, errmsg).detail

    @pytest.mark.parametrize(
        "errcode, errmsg, ip",
        [
            (40164, "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7", "203.0.113.7"),
            (40164, "invalid ip 203.0.113.7, not in whitelist", "203.0.113.7"),
            (40164, "invalid ip 2001:db8::17, not in whitelist", "2001:db8::17"),
            (61004, "not registered requestIP: 203.0.113.7 rid: 1-2-3", "203.0.113.7"),
            (61004, "not registered requestIP:2001:db8::17", "2001:db8::17"),
            (61004, "access clientip is not registered", None),
            (40164, "", None),
        ],
    )
    def test_ip__shapes(self, errcode, errmsg, ip):
        error = api_error("query_trace", errcode, errmsg)

        assert isinstance(error, IpNotAllowedError)
        assert ip == error.ip


class TestTree:
    def test_classes__each_public_and_in_the_table(self):
        classes = {
            value
            for value in vars(errors).values()
            if inspect.isclass(value) and issubclass(value, WxLogisticsError)
        }

        assert classes == {WxLogisticsError, *(type(error) for error, _, _ in CLASSES)}
        assert {each.__name__ for each in classes} <= set(wxlogistics.__all__)
        assert (Exception,) == WxLogisticsError.__bases__

    @pytest.mark.parametrize("error, bases, retryable", CLASSES, ids=repr)
    def test_classes__bases_and_retryable(self, error, bases, retryable):
        assert bases == type(error).__bases__
        assert retryable is error.retryable

    @pytest.mark.parametrize("error, bases, retryable", CLASSES, ids=repr)
    def test_fields__plain_values_only(self, error, bases, retryable):
        assert {str, int, bool} >= set(map(type, vars(error).values()))
        assert {str, int, bool} >= set(map(type, error.args))

    @pytest.mark.parametrize("error, bases, retryable", CLASSES, ids=repr)
    def test_copies__keep_everything(self, error, bases, retryable):
        """Celery and multiprocessing pickle errors."""
        ways: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy]
        ways.append(lambda each: type(each)(**vars(each)))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            ways.append(lambda each: pickle.loads(pickle.dumps(each, protocol)))
        for way in ways:
            copied = way(error)

            assert copied is not error
            assert look(error) == look(copied)


def look(error: WxLogisticsError) -> tuple[object, ...]:
    return type(error), error.args, vars(error), str(error), repr(error)
