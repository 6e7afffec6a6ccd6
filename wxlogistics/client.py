"""One method per endpoint of the logistics plugin, named as the endpoint.

Source: https://developers.weixin.qq.com/miniprogram/dev/platform-capabilities/industry/express/business/express_search.html
and, for the message component, express_open_msg.html beside it.
"""  # noqa: E501

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import models
from ._arguments import require_bare_text, wrong_type
from ._hosts import MAIN_URL
from ._http import Http, Request
from ._wire import Wire, encode, lacking
from .errors import InvalidArgumentError
from .models import DeliveryInfo, GoodsInfo, Json, Trace
from .tokens import StableToken, TokenProvider, token_provider

if TYPE_CHECKING:
    import requests

# pytest then shows the line of the test, and none of this module's variables.
__tracebackhide__ = True

_ENV = "WXLOGISTICS_"
_OPEN_MSG = "/cgi-bin/express/delivery/open_msg/"

# No query, which could carry a second access_token, and no host, which could send the
# token elsewhere.
_PATH = re.compile(r"(/[\w.~%-]*)+", re.ASCII)


_REQUIRED = ("openid", "waybill_id", "receiver_phone", "goods_info")
_OPTIONAL = ("sender_phone", "trans_id", "delivery_id", "order_detail_path")


class Client:
    """
    Calls WeChat's logistics plugin API (物流查询插件) for one mini-program.

    Threads may share it. After a fork, each process opens its own connections.

    Args:
        token: The access_token as a str; a callable that returns the one to use now;
            or a `TokenProvider`. (Service providers: the authorizer_access_token.)

        base_url: WeChat's address: one host, or several that are tried in this order
            if one cannot be reached. `WECHAT_URLS` has them all.

        timeout: Seconds to connect and seconds to wait for the answer, as requests
            takes it. trace_waybill may be slow: WeChat fetches the goods' images
            meanwhile.

        deadline: Seconds for one call, all its attempts and its token together. The
            last read may exceed it by its timeout.

        retries: Retries of one call at most. Only what is harmless is retried: see
            "Errors and retries" in the documentation.

        session: A `requests.Session` of yours, for proxies, TLS and headers, called by
            its own ``post()``. It is not closed with the client.

    Raises:
        InvalidArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        token: str | Callable[[], str] | TokenProvider,
        *,
        base_url: str | Sequence[str] = MAIN_URL,
        timeout: float | tuple[float, float] = (3.05, 20),
        deadline: float = 60,
        retries: int = 2,
        session: requests.Session | None = None,
    ) -> None:
        self._tokens = token_provider(token)
        self._wire = Wire(base_url, Http(timeout, session), deadline, retries)

    @classmethod
    def from_env(cls, **options: Any) -> Client:
        """
        Make a client from the environment's variables.

        ``WXLOGISTICS_ACCESS_TOKEN`` is used as it is; without it,
        ``WXLOGISTICS_APPID`` and ``WXLOGISTICS_SECRET`` make a `StableToken`.
        ``WXLOGISTICS_BASE_URL`` is the base_url; several are separated by commas.

        Args:
            options: More arguments of `Client`; they override the environment.

        Raises:
            InvalidArgumentError: A variable is missing, which the error names; or an
                argument is invalid.
        """

        def read(name: str) -> str:
            return os.environ.get(_ENV + name, "").strip()

        urls = [url.strip() for url in read("BASE_URL").split(",") if url.strip()]
        options = ({"base_url": urls} if urls else {}) | options
        token, appid, secret = map(read, ("ACCESS_TOKEN", "APPID", "SECRET"))
        if token or (appid and secret):
            return cls(token or StableToken(appid, secret), **options)
        missing = "SECRET" if appid else "APPID" if secret else "ACCESS_TOKEN"
        wanted = f"{_ENV}ACCESS_TOKEN, or both {_ENV}APPID and {_ENV}SECRET"
        raise InvalidArgumentError(_ENV + missing, f"is not set; give {wanted}")

    def __repr__(self) -> str:
        return f"<Client of {', '.join(self._wire.hosts)}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """
        Close the idle connections. A later call opens new ones.
        """
        self._wire.http.close()

    def access_token(self) -> str:
        """
        Return the token in use now, for other calls of the WeChat API.

        Raises:
            WxLogisticsError: It could not be fetched.
        """
        token = self._tokens.get(self._wire.post())
        require_bare_text("token", token)
        return token

    def trace_waybill(
        self,
        *,
        openid: str,
        waybill_id: str,
        receiver_phone: str,
        goods_info: GoodsInfo,
        sender_phone: str | None = None,
        trans_id: str | None = None,
        delivery_id: str | None = None,
        order_detail_path: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> str:
        """
        Register a waybill with the query component (传运单接口).

        Registering a waybill again returns a token too, but keeps the first goods.

        Args:
            openid: The customer's openid in this mini-program.

            waybill_id: The carrier's number of the parcel (运单号).

            receiver_phone: The receiver's phone number, which some carriers require.

            goods_info: 1 to 10 articles.

            sender_phone: The sender's phone number.

            trans_id: The WeChat Pay transaction's number (交易单号); send it if you
                have it.

            delivery_id: The carrier's id in get_delivery_list; helps with small ones.

            order_detail_path: The mini-program's page that shows the order.

            extra: More parameters, merged into the JSON body.

        Returns:
            The waybill_token: keep it with the order, for the plugin and for
            query_trace. It does not expire.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.

            ApiError: WeChat refused.

            TransportError: No answer; see its maybe_applied.

            UnexpectedResponseError: The answer is not from WeChat.
        """
        required = openid, waybill_id, receiver_phone, goods_info
        optional = sender_phone, trans_id, delivery_id, order_detail_path
        return self._register("trace_waybill", (*required, *optional), extra)

    def query_trace(
        self,
        waybill_token: str,
        *,
        openid: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Trace:
        """
        Query a waybill (查询运单接口).

        Args:
            waybill_token: As trace_waybill returned it.

            openid: The customer's openid; WeChat does not need it.

            extra: More parameters, merged into the JSON body.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.

            ApiError: WeChat refused.

            TransportError: No answer; see its maybe_applied.

            UnexpectedResponseError: The answer is not from WeChat.
        """
        fields = {"waybill_token": waybill_token, "openid": openid}
        return self._query("query_trace", fields, extra)

    def update_waybill_goods(
        self,
        waybill_token: str,
        goods_info: GoodsInfo,
        *,
        openid: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Replace the goods of a waybill (更新物流信息接口).

        WeChat allows few changes of a waybill, so this is not retried if it may have
        reached WeChat.

        Args:
            waybill_token: As trace_waybill returned it.

            goods_info: 1 to 10 articles; all of them, not only the changed ones.

            openid: The customer's openid; WeChat does not need it.

            extra: More parameters, merged into the JSON body.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.

            ApiError: WeChat refused.

            TransportError: No answer; see its maybe_applied.

            UnexpectedResponseError: The answer is not from WeChat.
        """
        must = {"waybill_token": waybill_token, "goods_info": goods_info}
        self._call("update_waybill_goods", must | {"openid": openid}, extra, must)

    def get_delivery_list(self) -> tuple[DeliveryInfo, ...]:
        """
        List the carriers that WeChat knows (获取运力id列表), some 1,500.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.

            ApiError: WeChat refused.

            TransportError: No answer; see its maybe_applied.

            UnexpectedResponseError: The answer is not from WeChat.
        """
        return models.delivery_list(self._call("get_delivery_list", {}, None, ()))

    def follow_waybill(
        self,
        *,
        openid: str,
        waybill_id: str,
        receiver_phone: str,
        goods_info: GoodsInfo,
        sender_phone: str | None = None,
        trans_id: str | None = None,
        delivery_id: str | None = None,
        order_detail_path: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> str:
        """
        Register a waybill with the message component (传运单接口 of 物流消息).

        The arguments, the result and the errors are those of trace_waybill, but the
        waybill_token is good for query_follow_trace and update_follow_waybill_goods
        only. At most 100 open waybills are followed for one customer.
        """
        required = openid, waybill_id, receiver_phone, goods_info
        optional = sender_phone, trans_id, delivery_id, order_detail_path
        return self._register("follow_waybill", (*required, *optional), extra)

    def query_follow_trace(
        self,
        waybill_token: str,
        *,
        openid: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Trace:
        """
        Query a waybill of the message component (查运单接口).

        As query_trace, with a waybill_token of follow_waybill.
        """
        fields = {"waybill_token": waybill_token, "openid": openid}
        return self._query("query_follow_trace", fields, extra)

    def update_follow_waybill_goods(
        self,
        waybill_token: str,
        goods_info: GoodsInfo,
        *,
        openid: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Replace the goods of a waybill of the message component (更新物品信息接口).

        As update_waybill_goods, with a waybill_token of follow_waybill.
        """
        must = {"waybill_token": waybill_token, "goods_info": goods_info}
        self._call(
            "update_follow_waybill_goods", must | {"openid": openid}, extra, must
        )

    def request(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """
        Make any other POST of the WeChat API, with the same errors and token handling.

        It is not retried if it may have reached WeChat.

        Args:
            path: The URL's path, without host and query:
                ``/cgi-bin/express/delivery/open_msg/open_query_plugin``.

            payload: The JSON body.

        Returns:
            The reply.

        Raises:
            InvalidArgumentError: An argument is invalid; nothing was sent.

            ApiError: WeChat refused; its endpoint is the path.

            TransportError: No answer; see its maybe_applied.

            UnexpectedResponseError: The answer is not from WeChat.
        """
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            problem = "is not like /cgi-bin/…: a path alone, without host or query"
            raise InvalidArgumentError("path", problem)
        if not isinstance(payload, Mapping):
            raise wrong_type("payload", payload, "a dict")
        return self._post(path, path, dict(payload), repeatable=False)

    def _register(self, endpoint: str, values: tuple[Any, ...], extra: Any) -> str:
        fields = dict(zip(_REQUIRED + _OPTIONAL, values))
        reply = self._call(endpoint, fields, extra, _REQUIRED)
        waybill_token = models.text(reply.get("waybill_token"))
        if not waybill_token:
            raise lacking(endpoint, reply, "waybill_token")
        return waybill_token

    def _query(self, endpoint: str, fields: Json, extra: Any) -> Trace:
        reply = self._call(endpoint, fields, extra, ("waybill_token",))
        if not models.has_status(reply):
            raise lacking(endpoint, reply, "waybill_info.status")
        return Trace.from_reply(reply)

    def _call(
        self, endpoint: str, fields: Json, extra: Any, required: Collection[str]
    ) -> Json:
        """
        Send the *required* fields, and the others that are not None.
        """
        payload: Json = {}
        for field, value in fields.items():
            if field == "goods_info":
                payload[field] = models.goods_payload(value)
            elif value is not None or field in required:
                require_bare_text(field, value, optional=field not in required)
                payload[field] = value
        if extra is not None and not isinstance(extra, Mapping):
            raise wrong_type("extra", extra, "a dict")
        payload |= extra or {}
        # WeChat allows few changes of the goods; registering again is harmless.
        repeatable = not endpoint.startswith("update_")
        return self._post(endpoint, _OPEN_MSG + endpoint, payload, repeatable)

    def _post(self, endpoint: str, path: str, payload: Json, repeatable: bool) -> Json:
        request = Request(endpoint, path, encode(payload))
        return self._wire.call(request, self._tokens, self._wire.post(), repeatable)
