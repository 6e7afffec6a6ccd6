"""The calls that the imitation knows, and a request as its rules see it."""

from __future__ import annotations

from typing import Any, Mapping

import attrs

from .errcodes import Refusal

#: endpoint of the plugin -> the component (组件) that it belongs to.
PLUGIN = {
    "trace_waybill": "query",
    "query_trace": "query",
    "update_waybill_goods": "query",
    "get_delivery_list": "query",
    "follow_waybill": "message",
    "query_follow_trace": "message",
    "update_follow_waybill_goods": "message",
    "open_query_plugin": "query",
    "open_openmsg": "message",
}

_OPEN_MSG = "/cgi-bin/express/delivery/open_msg/"

#: path -> endpoint.
PATHS: dict[str, str] = {
    **{_OPEN_MSG + endpoint: endpoint for endpoint in PLUGIN},
    "/cgi-bin/stable_token": "stable_token",
    "/cgi-bin/token": "token",
    "/cgi-bin/component/api_component_token": "api_component_token",
    "/cgi-bin/component/api_authorizer_token": "api_authorizer_token",
    "/cgi-bin/component/api_create_preauthcode": "api_create_preauthcode",
    "/cgi-bin/component/api_query_auth": "api_query_auth",
    "/cgi-bin/component/api_get_authorizer_info": "api_get_authorizer_info",
    "/sns/jscode2session": "jscode2session",
    "/cgi-bin/getcallbackip": "getcallbackip",
    "/cgi-bin/get_api_domain_ip": "get_api_domain_ip",
    "/cgi-bin/clear_quota": "clear_quota",
    "/cgi-bin/openapi/quota/get": "quota/get",
    "/cgi-bin/openapi/quota/clear": "quota/clear",
    "/cgi-bin/openapi/rid/get": "rid/get",
}

#: Those whose parameters stand in the query; GET is their method, POST does as well.
GETS = ("token", "jscode2session", "getcallbackip", "get_api_domain_ip")

#: Those that hand out tokens, for `Fetches`.
TOKENS = ("stable_token", "token", "api_component_token", "api_authorizer_token")


@attrs.frozen(kw_only=True)
class Request:
    """
    A call, its body read and without its HTTP.

    Attributes:
        endpoint: A value of `PATHS`.

        method: The HTTP method.

        payload: The JSON body, or the query of one of `GETS`; empty if it is refused.

        refusal: Why the body is refused.

        escaped: Whether the body escapes what need not be.

        access_token: The one in the query.

        component_access_token: The same for service providers, whichever of its two
            names it came by.

        ip: The caller's address.

        first_use: Whether an unknown appid becomes known.
    """

    endpoint: str
    method: str = "POST"
    payload: Mapping[str, Any]
    refusal: Refusal | None = None
    escaped: bool = False
    access_token: str = ""
    component_access_token: str = ""
    ip: str = ""
    first_use: bool = False
