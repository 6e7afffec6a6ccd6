"""Every errcode becomes its exception, and every exception survives a journey."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from pathlib import Path
from typing import NamedTuple

import pytest

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

SAMPLES = Path(__file__).with_name("samples")

RID = "634bb0cb-6dc8b467-065d137e"


class Row(NamedTuple):
    sample: str | None
    errcode: int
    error: type[ApiError]
    retryable: bool
    errmsg: str
    rid: str | None
    detail: str | None = None


# The texts are those really seen, as they stand in the sample. Where no sample is
# named, nobody has shown one, and the text is made up.
ROWS = [
    Row(
        "error.-1.reply.json",
        -1,
        SystemBusyError,
        True,
        "system error detail: [未知异常,请稍后重试] rid: 64254aac-5d5bb128-5d8aa557",
        "64254aac-5d5bb128-5d8aa557",
        "未知异常,请稍后重试",
    ),
    Row(
        "error.40001.reply.json",
        40001,
        AccessTokenError,
        False,
        "invalid credential, access_token is invalid or not latest, could get "
        "access_token by getStableAccessToken, more details at "
        "https://mmbizurl.cn/s/JtxxFh33r rid: 654df33c-64386a2f-29857782",
        "654df33c-64386a2f-29857782",
    ),
    Row(
        "error.40002.reply.json",
        40002,
        MalformedRequestError,
        False,
        "invalid grant_type rid: 64b09fbb-56b7faa9-1054a9fe",
        "64b09fbb-56b7faa9-1054a9fe",
    ),
    Row(
        "error.40003.reply.json",
        40003,
        OpenidError,
        False,
        "invalid openid detail: [openid错误] rid: 634bb0cb-6dc8b467-065d137e",
        "634bb0cb-6dc8b467-065d137e",
        "openid错误",
    ),
    Row(
        "error.40013.reply.json",
        40013,
        CredentialError,
        False,
        "invalid appid rid: 60b6faee-52db30c5-352fb162",
        "60b6faee-52db30c5-352fb162",
    ),
    Row(None, 40014, AccessTokenError, False, "invalid access_token", None),
    Row(
        "error.40066.reply.json",
        40066,
        MalformedRequestError,
        False,
        "invalid url rid: 661633da-30391928-0300468b",
        "661633da-30391928-0300468b",
    ),
    Row(
        "error.40125.reply.json",
        40125,
        CredentialError,
        False,
        "invalid appsecret rid: 6268c73d-394b60eb-228e8df8",
        "6268c73d-394b60eb-228e8df8",
    ),
    Row(
        "error.40164.reply.json",
        40164,
        IpNotAllowedError,
        False,
        "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: "
        "68231586-663e56da-1e04e5eb",
        "68231586-663e56da-1e04e5eb",
    ),
    Row(None, 40243, CredentialError, False, "AppSecret is frozen", None),
    Row(
        "error.41001.reply.json",
        41001,
        AccessTokenError,
        False,
        "access_token missing rid: 5f9a0b1c-2d3e4f50-61728394",
        "5f9a0b1c-2d3e4f50-61728394",
    ),
    Row(
        "error.41002.reply.json",
        41002,
        CredentialError,
        False,
        "appid missing rid: 65d18a29-198644ab-6e38456f",
        "65d18a29-198644ab-6e38456f",
    ),
    Row(
        "error.41004.reply.json",
        41004,
        CredentialError,
        False,
        "appsecret missing rid: 65b38743-6a944608-679bfd15",
        "65b38743-6a944608-679bfd15",
    ),
    Row(
        "error.42001.reply.json",
        42001,
        AccessTokenExpiredError,
        False,
        "access_token expired rid: 66c669e3-210a005b-256a5f92",
        "66c669e3-210a005b-256a5f92",
    ),
    Row(None, 43002, MalformedRequestError, False, "require POST method", None),
    Row(
        "error.44002.reply.json",
        44002,
        MalformedRequestError,
        False,
        "empty post data rid: 68342b46-15ec9b49-1dfe1153",
        "68342b46-15ec9b49-1dfe1153",
    ),
    Row(
        "error.45009.reply.json",
        45009,
        DailyQuotaError,
        False,
        "reach max api daily quota limit rid: 68d49773-32044106-7794eb1b",
        "68d49773-32044106-7794eb1b",
    ),
    Row(
        "error.45009.reply.second.json",
        45009,
        RateLimitError,
        True,
        "reach max api second frequence limit rid: 67a85758-1a2b3c4d-5e6f7081",
        "67a85758-1a2b3c4d-5e6f7081",
    ),
    Row(
        None, 45009, RateLimitError, True, "reach max api minute frequence limit", None
    ),
    Row(
        "error.45011.reply.json",
        45011,
        RateLimitError,
        True,
        "api minute-quota reach limit, must slower, retry next minute rid: "
        "5fb1e22f-15e0407f-00233e18",
        "5fb1e22f-15e0407f-00233e18",
    ),
    Row(
        "error.47001.reply.json",
        47001,
        MalformedRequestError,
        False,
        "data format error rid:660b9544-253907dd-3cda6773",
        "660b9544-253907dd-3cda6773",
    ),
    Row(
        "error.48001.reply.json",
        48001,
        NotAuthorizedError,
        False,
        "api unauthorized rid: 641d331a-0cc26ad8-622c0751",
        "641d331a-0cc26ad8-622c0751",
    ),
    Row(None, 50002, NotAuthorizedError, False, "user limited", None),
    Row(None, 50004, NotAuthorizedError, False, "forbidden token interface", None),
    Row(
        "error.61003.reply.json",
        61003,
        NotAuthorizedError,
        False,
        "component is not authorized by this account rid: "
        "67a30dc9-302ecc6c-11466d6f",
        "67a30dc9-302ecc6c-11466d6f",
    ),
    Row(
        "error.61004.reply.json",
        61004,
        IpNotAllowedError,
        False,
        "access clientip is not registered requestIP: 203.0.113.7 rid: "
        "62a9a3ac-204f22d9-196a7580",
        "62a9a3ac-204f22d9-196a7580",
    ),
    Row(
        "error.61007.reply.json",
        61007,
        NotAuthorizedError,
        False,
        "api is unauthorized to component rid: 5f225930-577520eb-7cf1aae7",
        "5f225930-577520eb-7cf1aae7",
    ),
    Row(
        "error.61023.reply.json",
        61023,
        CredentialError,
        False,
        "refresh_token is invalid rid: 6351110b-3677a1ed-080b10ce",
        "6351110b-3677a1ed-080b10ce",
    ),
    Row(
        "error.931023.reply.json",
        931023,
        WaybillNotFoundError,
        False,
        "waybill not exist detail: [运单不存在] rid: 66557522-735e87a4-648726cc",
        "66557522-735e87a4-648726cc",
        "运单不存在",
    ),
    Row(
        "error.9300507.reply.json",
        9300507,
        WaybillTokenError,
        False,
        "invalid token, can't decryption or decryption result is different from the "
        "plaintext detail: [waybill_token参数错误] rid: 61e2813f-1aded077-0adf79d4",
        "61e2813f-1aded077-0adf79d4",
        "waybill_token参数错误",
    ),
    Row(None, 9300513, CallLimitError, False, "", None),
    Row(
        "error.9300534.reply.json",
        9300534,
        OpenidMismatchError,
        False,
        "invalid appid, not same body detail: [access_token与openid不匹配] rid: "
        "6267d37b-6053c6e0-47db77ba",
        "6267d37b-6053c6e0-47db77ba",
        "access_token与openid不匹配",
    ),
    Row(None, 9300559, WaybillNotFoundError, False, "", None),
    Row(None, 9300560, UpdateLimitError, False, "", None),
    Row(
        "error.9300561.reply.json",
        9300561,
        GoodsImageError,
        False,
        "图片url错误 rid: 66b9b82f-4cec9e34-26189adf",
        "66b9b82f-4cec9e34-26189adf",
    ),
]

#: One of each class.
INSTANCES = [
    InvalidArgumentError("openid", "is empty; give its value"),
    TransportError("query_trace", "no answer within 20 s", True),
    UnexpectedResponseError("query_trace", 404, "<html>", "not WeChat's answer"),
    ApiError("query_trace", 933001, "some new refusal"),
    SystemBusyError("trace_waybill", -1, "system error"),
    OpenidError("trace_waybill", 40003, "invalid openid"),
    OpenidMismatchError("trace_waybill", 9300534, "invalid appid, not same body"),
    WaybillTokenError("query_trace", 9300507, "invalid token"),
    WaybillNotFoundError("trace_waybill", 931023, "waybill not exist"),
    GoodsImageError("trace_waybill", 9300561, "图片url错误"),
    QuotaError("query_trace", 933002, "quota"),
    CallLimitError("query_trace", 9300513, ""),
    UpdateLimitError("update_waybill_goods", 9300560, ""),
    DailyQuotaError("query_trace", 45009, "reach max api daily quota limit"),
    RateLimitError("query_trace", 45009, "reach max api second frequence limit"),
    AccessTokenError("query_trace", 40001, "invalid credential"),
    AccessTokenExpiredError("query_trace", 42001, "access_token expired"),
    CredentialError("stable_token", 40013, "invalid appid"),
    IpNotAllowedError("query_trace", 40164, "invalid ip 203.0.113.7"),
    NotAuthorizedError("query_trace", 48001, "api unauthorized"),
    MalformedRequestError("query_trace", 47001, "data format error"),
]


def name_of(value: object) -> str:
    return type(value).__name__


def code_of(row: Row) -> str:
    return f"{row.errcode} {row.errmsg[:20]}"


@pytest.mark.parametrize("row", ROWS, ids=code_of)
class TestErrcodes:
    def test_api_error__class(self, row: Row) -> None:
        """The errcode, and for 45009 the text, choose exactly this class."""
        error = api_error("query_trace", row.errcode, row.errmsg)

        assert row.error is type(error)

    def test_api_error__fields(self, row: Row) -> None:
        """What WeChat said is kept as it came."""
        error = api_error("query_trace", row.errcode, row.errmsg)

        assert "query_trace" == error.endpoint
        assert row.errcode == error.errcode
        assert row.errmsg == error.errmsg

    def test_api_error__rid_and_detail(self, row: Row) -> None:
        """The rid and the Chinese explanation are found in the text."""
        error = api_error("query_trace", row.errcode, row.errmsg)

        assert row.rid == error.rid
        assert row.detail == error.detail

    def test_api_error__retryable(self, row: Row) -> None:
        """Only what passes within a minute is worth a repeat."""
        error = api_error("query_trace", row.errcode, row.errmsg)

        assert row.retryable is error.retryable

    def test_api_error__advice(self, row: Row) -> None:
        """Each errcode has its own advice, one sentence of it."""
        advice = api_error("query_trace", row.errcode, row.errmsg).advice

        assert "Look the errcode up" not in advice
        assert advice.endswith(".")
        assert ". " not in advice


class TestTable:
    @pytest.mark.parametrize(
        "row", [row for row in ROWS if row.sample], ids=lambda row: row.sample
    )
    def test_api_error__as_sampled(self, row: Row) -> None:
        """The row is what the sample holds."""
        reply = json.loads((SAMPLES / str(row.sample)).read_bytes())

        assert {"errcode": row.errcode, "errmsg": row.errmsg} == reply

    def test_errcodes__all_specified(self) -> None:
        """An errcode added to the table needs a row here."""
        assert {row.errcode for row in ROWS} == set(ERRCODES)

    def test_errcodes__all_samples_used(self) -> None:
        """A refusal among the samples needs a row here."""
        found = {path.name for path in SAMPLES.glob("error.*")}

        assert {row.sample for row in ROWS if row.sample} == found

    def test_errcodes__meaning(self) -> None:
        """The table says what the document says of its errcodes."""
        assert "系统错误" == ERRCODES[-1].meaning
        assert "达到修改次数上限" == ERRCODES[9300560].meaning
        assert "openid参数错误" == ERRCODES[40003].meaning
        assert "access_token与openid参数不匹配" == ERRCODES[9300534].meaning
        assert "调用次数达到上限" == ERRCODES[9300513].meaning
        assert "waybill_token参数错误" == ERRCODES[9300507].meaning
        assert "运单不存在" == ERRCODES[9300559].meaning

    def test_errcodes__all_have_a_meaning(self) -> None:
        """No row is silent about what WeChat says by it."""
        assert [] == [code for code, row in ERRCODES.items() if not row.meaning]

    def test_errcodes__read_only(self) -> None:
        """Nobody changes the table for everybody."""
        with pytest.raises(TypeError):
            ERRCODES[1] = ERRCODES[-1]  # type: ignore[index]

    def test_api_error__unknown_errcode(self) -> None:
        """
        An errcode that nobody knows raises ApiError itself, with everything in it.
        """
        error = api_error("query_trace", 933001, "some new refusal rid: 1-2-3")

        assert ApiError is type(error)
        assert 933001 == error.errcode
        assert "1-2-3" == error.rid
        assert error.retryable is False
        assert (
            "Look the errcode up in WeChat's document, or quote the rid to its staff."
            == error.advice
        )

    def test_api_error__unknown_errcode_below_zero(self) -> None:
        """Only -1 is busy; WeChat has other errcodes below zero."""
        assert ApiError is type(api_error("query_trace", -80, "system"))


class TestApiError:
    def test_str__says_all(self) -> None:
        """The text says endpoint, errmsg, errcode and rid, each once."""
        error = api_error(
            "query_trace",
            931023,
            "waybill not exist detail: [运单不存在] rid: 66557522-735e87a4-648726cc",
        )

        assert (
            "query_trace: waybill not exist detail: [运单不存在] (errcode 931023, "
            "rid 66557522-735e87a4-648726cc)" == str(error)
        )

    @pytest.mark.parametrize(
        "errmsg, rid, said",
        [
            ("invalid openidrid: 634bb0cb-6dc8b467-065d137e", True, "invalid openid"),
            ("图片url错误rid: 634bb0cb-6dc8b467-065d137e", True, "图片url错误"),
            ("no such grid: 12", False, "no such grid: 12"),
        ],
    )
    def test_rid__without_a_space_before_it(
        self, errmsg: str, rid: bool, said: str
    ) -> None:
        """The space before it can be missing; another word that ends so is no rid."""
        error = api_error("query_trace", 40003, errmsg)

        assert ("634bb0cb-6dc8b467-065d137e" if rid else None) == error.rid
        assert f"query_trace: {said} (errcode 40003" in str(error)

    def test_str__without_rid(self) -> None:
        """Without a rid none is shown."""
        assert "trace_waybill: system error (errcode -1)" == str(
            SystemBusyError("trace_waybill", -1, "system error")
        )

    def test_str__empty_errmsg(self) -> None:
        """An empty errmsg leaves no hole."""
        assert "query_trace: no errmsg (errcode 9300513)" == str(
            CallLimitError("query_trace", 9300513, "")
        )

    def test_str__nothing_but_a_rid(self) -> None:
        """A rid alone is no text."""
        assert "query_trace: no errmsg (errcode -1, rid 1-2-3)" == str(
            SystemBusyError("query_trace", -1, " rid: 1-2-3")
        )

    @pytest.mark.parametrize(
        "errmsg, rid",
        [
            ("invalid openid rid: 634bb0cb-6dc8b467-065d137e", RID),
            ("data format error rid:634bb0cb-6dc8b467-065d137e", RID),
            ("rid: 634bb0cb-6dc8b467-065d137e", RID),
            ("error detail: [错误]rid: 634bb0cb-6dc8b467-065d137e ", RID),
            ("invalid credential hint: [Ha0417vr29-DJ1Xca]", "Ha0417vr29-DJ1Xca"),
            ("invalid credential hint:[Ha0417vr29]", "Ha0417vr29"),
            ("", None),
            ("ok", None),
            ("the grid: 7", None),
            ("rid: 634bb0cb-6dc8b467-065d137e is what staff asks for", None),
            ("hint: [] rid: ", None),
        ],
    )
    def test_rid__shapes(self, errmsg: str, rid: str | None) -> None:
        """The rid stands at the end, with or without a space; hint is its old form."""
        assert rid == ApiError("query_trace", 1, errmsg).rid

    @pytest.mark.parametrize(
        "errmsg, detail",
        [
            (
                "system error detail: [未知异常,请稍后重试] rid: 1-2-3",
                "未知异常,请稍后重试",
            ),
            ("system error detail:[未知异常]", "未知异常"),
            ("system error detail: []", ""),
            ("system error detail: 未知异常", None),
            ("system error", None),
            ("", None),
        ],
    )
    def test_detail__shapes(self, errmsg: str, detail: str | None) -> None:
        """The detail is what stands in its brackets."""
        assert detail == ApiError("query_trace", 1, errmsg).detail

    def test_advice__45009(self) -> None:
        """One errcode, two meanings, two pieces of advice."""
        day = api_error("query_trace", 45009, "reach max api daily quota limit")
        second = api_error("query_trace", 45009, "reach max api second frequence limit")

        assert "Go on after midnight, China time; the quota is per day." == day.advice
        assert (
            "Wait for the next second or minute, then call at a slower pace."
            == second.advice
        )

    @pytest.mark.parametrize(
        "errcode, errmsg, ip",
        [
            (
                40164,
                "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, no",
                "203.0.113.7",
            ),
            (40164, "invalid ip 203.0.113.7, not in whitelist", "203.0.113.7"),
            (40164, "invalid ip 2001:db8::17, not in whitelist", "2001:db8::17"),
            (61004, "not registered requestIP: 203.0.113.7 rid: 1-2-3", "203.0.113.7"),
            (61004, "not registered requestIP:2001:db8::17", "2001:db8::17"),
            (61004, "access clientip is not registered", None),
            (40164, "", None),
        ],
    )
    def test_ip__shapes(self, errcode: int, errmsg: str, ip: str | None) -> None:
        """The address to put on the whitelist is read from the text."""
        error = api_error("query_trace", errcode, errmsg)

        assert isinstance(error, IpNotAllowedError)
        assert ip == error.ip


class TestOtherErrors:
    def test_invalid_argument__str(self) -> None:
        """The text names the field first."""
        assert "goods_info.detail_list[2].goods_name: is empty" == str(
            InvalidArgumentError("goods_info.detail_list[2].goods_name", "is empty")
        )

    def test_invalid_argument__is_a_value_error(self) -> None:
        """Code that knows nothing of this library catches it as what it is."""
        with pytest.raises(ValueError):
            raise InvalidArgumentError("openid", "is empty")

    @pytest.mark.parametrize(
        "maybe_applied, fate",
        [(True, "may have reached WeChat"), (False, "was not sent")],
    )
    def test_transport__str(self, maybe_applied: bool, fate: str) -> None:
        """The text says whether to fear that it took effect."""
        error = TransportError("query_trace", "no answer within 20 s", maybe_applied)

        assert f"query_trace: no answer within 20 s (the request {fate})" == str(error)

    def test_unexpected_response__str(self) -> None:
        """The text shows how the answer begins, and its line ends as escapes."""
        error = UnexpectedResponseError(
            "query_trace", 404, "<html>\n<title>404", "not WeChat's answer"
        )

        assert (
            "query_trace: not WeChat's answer (HTTP 404, body begins "
            "'<html>\\n<title>404')" == str(error)
        )


class TestTree:
    @pytest.mark.parametrize(
        "error, bases",
        [
            (WxLogisticsError, (Exception,)),
            (InvalidArgumentError, (WxLogisticsError, ValueError)),
            (TransportError, (WxLogisticsError,)),
            (UnexpectedResponseError, (WxLogisticsError,)),
            (ApiError, (WxLogisticsError,)),
            (SystemBusyError, (ApiError,)),
            (OpenidError, (ApiError,)),
            (OpenidMismatchError, (ApiError,)),
            (WaybillTokenError, (ApiError,)),
            (WaybillNotFoundError, (ApiError,)),
            (GoodsImageError, (ApiError,)),
            (QuotaError, (ApiError,)),
            (CallLimitError, (QuotaError,)),
            (UpdateLimitError, (QuotaError,)),
            (DailyQuotaError, (QuotaError,)),
            (RateLimitError, (QuotaError,)),
            (AccessTokenError, (ApiError,)),
            (AccessTokenExpiredError, (AccessTokenError,)),
            (CredentialError, (ApiError,)),
            (IpNotAllowedError, (ApiError,)),
            (NotAuthorizedError, (ApiError,)),
            (MalformedRequestError, (ApiError,)),
        ],
    )
    def test_bases__as_promised(
        self, error: type[Exception], bases: tuple[type, ...]
    ) -> None:
        """Whoever catches a base catches these, and nothing else."""
        assert bases == error.__bases__

    def test_instances__one_of_each(self) -> None:
        """An error class added to the module needs an instance here."""
        classes = {
            value
            for value in vars(errors).values()
            if inspect.isclass(value) and issubclass(value, WxLogisticsError)
        }

        assert classes - {WxLogisticsError} == set(map(type, INSTANCES))

    def test_all__names_every_class(self) -> None:
        """No error class is hidden."""
        names = {type(error).__name__ for error in INSTANCES}

        assert names | {"WxLogisticsError"} <= set(wxlogistics.__all__)


@pytest.mark.parametrize("error", INSTANCES, ids=name_of)
class TestJourney:
    def look(self, error: WxLogisticsError) -> tuple[object, ...]:
        return type(error), error.args, vars(error), str(error), repr(error)

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle__keeps_everything(
        self, error: WxLogisticsError, protocol: int
    ) -> None:
        """Celery and multiprocessing send errors as pickles."""
        arrived = pickle.loads(pickle.dumps(error, protocol))

        assert arrived is not error
        assert self.look(error) == self.look(arrived)

    def test_copy__keeps_everything(self, error: WxLogisticsError) -> None:
        """A copy says the same."""
        copied = copy.copy(error)

        assert copied is not error
        assert self.look(error) == self.look(copied)

    def test_deepcopy__keeps_everything(self, error: WxLogisticsError) -> None:
        """A deep copy says the same."""
        copied = copy.deepcopy(error)

        assert copied is not error
        assert self.look(error) == self.look(copied)

    def test_fields__plain_values_only(self, error: WxLogisticsError) -> None:
        """No error holds a client, a session, a request or a response."""
        assert {str, int, bool} >= set(map(type, vars(error).values()))
        assert {str, int, bool} >= set(map(type, error.args))


class TestRetryable:
    @pytest.mark.parametrize(
        ("error", "retryable"),
        [
            (InvalidArgumentError("openid", "is empty"), False),
            (TransportError("query_trace", "no answer within 20 s", True), True),
            (TransportError("query_trace", "no connection", False), True),
            (UnexpectedResponseError("query_trace", 404, "", "no JSON object"), False),
            (ApiError("query_trace", 1, ""), False),
        ],
    )
    def test_retryable__of_every_error(
        self, error: WxLogisticsError, retryable: bool
    ) -> None:
        """Every error can be asked, so that one handler serves all."""
        assert retryable is error.retryable
