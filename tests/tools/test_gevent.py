"""A client under gevent and eventlet, patched before and after the import."""

import json
import time
from typing import Any

import pytest
import requests
import trustme
from chaos import ChaosServer, answer, silence
from programs import needed
from toolbox import TokenWeChat, application, in_threads, run_python, together

pytestmark = pytest.mark.once

#: Define patch() and at_once().
KINDS = {
    "gevent": """
from gevent import monkey
from gevent.pool import Pool

patch = monkey.patch_all

def at_once(work, count=8):
    return Pool(count).map(work, range(count))
""",
    "eventlet": """
import eventlet

patch = eventlet.monkey_patch

def at_once(work, count=8):
    return list(eventlet.GreenPool(count).imap(work, range(count)))
""",
}

#: gevent warns of what was imported before it patches, eventlet of its age.
START = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
%s
if sys.argv[1] == "before":
    patch()
from wxlogistics import Client, StableToken, TransportError
if sys.argv[1] == "after":
    patch()
"""

#: The first eight calls are answered together: greenlets that wait for each other
#: would not get an answer before the deadline.
PAST_A_DEADLINE = """
client = Client("TOKEN", base_url=sys.argv[2], deadline=2)
query = lambda name: client.query_trace(str(name)).waybill_id
first = at_once(query)
time.sleep(2.1)
print(json.dumps([first, query("alone"), at_once(query)]))
"""

AFTER_A_TIMEOUT = """
client = Client("TOKEN", base_url=sys.argv[2], deadline=1, retries=0)

def failed(name):
    try:
        return client.query_trace(str(name)).waybill_id
    except TransportError as error:
        return error.maybe_applied

print(json.dumps([at_once(failed), at_once(failed)]))
"""

ONE_TOKEN = """
token = StableToken("wx0123456789abcdef", "c2b1a09f8e7d6c5b4a39281706f5e4d3")
client = Client(token, base_url=sys.argv[2])
print(json.dumps(at_once(lambda name: client.query_trace(str(name)).waybill_id)))
"""

NAMES = [str(number) for number in range(8)]


def run_green(kind: str, when: str, script: str, url: str, **environ: str) -> Any:
    needed(kind)
    return json.loads(run_python(START % KINDS[kind] + script, when, url, **environ))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
class TestGreenThreads:
    def test_call__past_a_deadline(self, kind, when):
        with ChaosServer(then=together(8)) as server:
            got = run_green(kind, when, PAST_A_DEADLINE, server.url)

        assert [NAMES, "alone", NAMES] == got

    def test_call__after_a_timeout(self, kind, when):
        with ChaosServer(*[silence] * 8) as server:
            got = run_green(kind, when, AFTER_A_TIMEOUT, server.url)

        assert [[True] * 8, NAMES] == got

    def test_token__fetched_once(self, kind, when):
        with TokenWeChat() as server:
            got = run_green(kind, when, ONE_TOKEN, server.url)

        assert NAMES == got
        assert 1 == len(server.fetches)


class TestTLS:
    def test_call__past_a_deadline(self, tmp_path):
        # With gevent patched after the import, no HTTPS request of requests works.
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        bundle = {"REQUESTS_CA_BUNDLE": str(tmp_path / "authority.pem")}
        authority.cert_pem.write_to_path(bundle["REQUESTS_CA_BUNDLE"])
        with ChaosServer(then=together(8), certificate=certificate) as server:
            got = run_green("gevent", "before", PAST_A_DEADLINE, server.url, **bundle)

        assert [NAMES, "alone", NAMES] == got


APPLICATION = """
import os
from wxlogistics import Client

client = Client("TOKEN", base_url=os.environ["WECHAT"], deadline=2)
client.get_delivery_list()


def application(environ, start_response):
    got = client.query_trace(environ["QUERY_STRING"]).waybill_id
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [got.encode()]
"""


class TestGunicorn:
    def test_preload__past_a_deadline(self, tmp_path):
        """`--preload` patches after the client has made a call."""
        needed("gunicorn")
        needed("gevent")
        command = ["-m", "gunicorn", "-k", "gevent", "--preload"]
        command += ["-w", "2", "-b", "127.0.0.1:0", "app:application"]
        bound = {"bound": r"Listening at: (\S+)"}

        def work(number: int) -> str:
            return requests.get(f"{url}/?{number}", timeout=60).text

        with ChaosServer(answer) as server:
            with application(
                tmp_path, APPLICATION, *command, **bound, WECHAT=server.url
            ) as url:
                before = in_threads(8, work)
                time.sleep(2.1)
                after = in_threads(8, work)

        assert NAMES == before == after
