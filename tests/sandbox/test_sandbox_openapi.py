"""The OpenAPI description: valid, complete, and true of the sandbox."""

import json
from pathlib import Path
from typing import Iterator

import hypothesis
import pytest
import schemathesis
from jsonschema import ValidationError
from openapi_spec_validator import validate
from sandboxtools import (
    DESCRIPTION,
    EXAMPLE,
    OPEN_MSG,
    QUERY_TRACE,
    Door,
    check_described,
    direct,
    schema_of,
)

from wxlogistics.sandbox import Sandbox
from wxlogistics.sandbox.control import _COMMANDS, _SCHEMAS
from wxlogistics.sandbox.server import Server
from wxlogistics.sandbox.world.endpoints import PATHS

SAMPLES = Path(__file__).parent.parent / "samples"


class TestDescription:
    def test_description__valid(self):
        """It is OpenAPI 3.1."""
        validate(DESCRIPTION)

        assert "3.1.0" == DESCRIPTION["openapi"]

    def test_description__complete(self):
        """It describes the calls that the sandbox knows and its own, and no others."""
        own = {f"/_sandbox/{name}" for _, name in _COMMANDS}

        assert set(PATHS) | own == set(DESCRIPTION["paths"])
        assert set(_COMMANDS) == set(_SCHEMAS)

    def test_description__operation_ids(self):
        """Each operation is named as its endpoint, and names its token."""
        for path, operations in DESCRIPTION["paths"].items():
            for method, operation in operations.items():
                assert method == "servers" or "security" in operation, path
                if path in PATHS:
                    name = operation["operationId"].partition("_by_")[0]
                    assert PATHS[path].replace("/", "_") == name

    def test_description__served(self, served_door):
        """The sandbox serves it."""
        response = served_door.send("GET", "/_sandbox/openapi.json")

        assert DESCRIPTION == response.json()

    @pytest.mark.parametrize(
        ("endpoint", "reply"),
        [
            ("query_trace", {"errcode": 0, "errmsg": "ok"}),
            ("query_trace", {"errcode": "0", "errmsg": "ok"}),
            ("trace_waybill", {"errcode": 0, "errmsg": "ok", "waybill_token": "x"}),
            ("get_delivery_list", {"errcode": 0, "delivery_list": [{}], "count": 1}),
            ("update_waybill_goods", {"errcode": 40003}),
        ],
    )
    def test_description__bites(self, endpoint, reply):
        """What is not a WeChat reply does not pass."""
        with pytest.raises(ValidationError):
            check_described("post", OPEN_MSG + endpoint, reply)

    def test_description__examples(self):
        """Its examples are valid requests."""
        count = 0
        for path, operations in DESCRIPTION["paths"].items():
            for method, operation in operations.items():
                if method == "servers":
                    continue
                content = operation.get("requestBody", {}).get("content", {})
                media = content.get("application/json", {})
                for example in media.get("examples", {}).values():
                    schema_of(method, path, "request").validate(example["value"])
                    count += 1

        assert 9 == count


class TestSamples:
    @pytest.mark.parametrize(
        "path", sorted(SAMPLES.glob("*.json")), ids=lambda p: p.name
    )
    def test_samples__as_described(self, path):
        """Every sample of a request or a reply is as described."""
        sample = json.loads(path.read_text(encoding="utf-8"))
        endpoint, what, *_ = path.name.replace("error.", "query_trace.", 1).split(".")
        if path.name.startswith("error."):
            what = "reply"
            assert sample["errcode"] == int(path.name.split(".")[1])
        url = next(url for url, name in PATHS.items() if name == endpoint)

        schema_of("post", url, what).validate(sample)

    def test_samples__there(self):
        """There are samples of all seven endpoints."""
        names = {path.name.partition(".")[0] for path in SAMPLES.glob("*.json")}

        seven = "trace_waybill query_trace update_waybill_goods get_delivery_list "
        seven += "follow_waybill query_follow_trace update_follow_waybill_goods"
        assert set(seven.split()) <= names


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Quotas out of the way, so that the calls get to what they are about."""
    sandbox = Sandbox(
        appid_daily_limit=10**9,
        user_daily_limit=10**9,
        user_daily_limit_message=10**9,
        edit_limit=10,
    )
    with sandbox.serve() as server:
        yield server


def register(server: Server, path: str) -> str:
    """A waybill_token for the component that the endpoint at *path* belongs to."""
    endpoint = "follow_waybill" if "follow" in path else "trace_waybill"
    with direct() as session:
        door = Door(server.sandbox, server.url, session)
        return door.post(endpoint, EXAMPLE)["waybill_token"]


@pytest.mark.once
class TestSchemathesis:
    @schemathesis.openapi.from_dict(DESCRIPTION).exclude(
        path_regex="^/_sandbox/"
    ).parametrize()
    @hypothesis.settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def test_call__as_described(self, case, server):
        """Whatever is sent, there is no 500, and the reply is as described."""
        sandbox = server.sandbox
        component = sandbox.add_component()
        query = {
            "access_token": sandbox.access_token(),
            "component_access_token": sandbox.component_access_token(component.appid),
        }
        checks = schemathesis.checks
        described = [
            checks.not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
        ]

        case.call_and_validate(server.url, params=query, checks=described, timeout=60)
        if isinstance(case.body, dict):
            # Once more with values that are right, to get beyond the first check.
            right = {
                "waybill_token": register(server, case.path),
                "appid": sandbox.appid,
                "secret": sandbox.secret,
                "component_appid": component.appid,
                "component_appsecret": component.secret,
                "component_verify_ticket": component.ticket,
                "authorizer_appid": sandbox.appid,
                "authorizer_refresh_token": sandbox.authorize(component.appid),
                "authorization_code": sandbox.authorization_code(component.appid),
                "cgi_path": QUERY_TRACE,
            }
            for name in right.keys() & case.body.keys():
                case.body[name] = right[name]
            case.call_and_validate(
                server.url, params=query, checks=described, timeout=60
            )
