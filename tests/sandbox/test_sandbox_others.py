"""The served sandbox and clients of other houses."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
from sandboxtools import EXAMPLE, NOON, OPEN_MSG, WAYBILL_ID, need
from wechatpy import WeChatComponent

from wxlogistics.sandbox import Clock, Sandbox

pytestmark = pytest.mark.once

FOREIGN = Path(__file__).with_name("foreign")
ROOT = FOREIGN.parents[2]
OPENAPI = ROOT / "wxlogistics/sandbox/openapi.json"
BUILD = ROOT / "build/foreign"

#: node-easywechat breaks with later versions of node-socialite.
NODE_PACKAGES = ["node-easywechat@3", "node-socialite@1.4.1", "co-wechat-api@3"]

#: What each of them makes the sandbox see, its calls for tokens aside.
STORY = [
    ("trace_waybill", 0),
    ("query_trace", 0),
    ("update_waybill_goods", 0),
    ("get_delivery_list", 0),
    ("trace_waybill", 40003),
    ("trace_waybill", 931023),
    ("get_delivery_list", 42001),
    ("get_delivery_list", 0),
]


def run(
    argv: list[str], folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder; a proxy of the environment does not count."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy")
    }
    return subprocess.run(
        argv,
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def installed(folder: Path, argv: list[str]) -> None:
    """Run an installer, unless it did all before; a test needs what it installs."""
    complete = folder / f"{'-'.join(argv[-2:])}.complete"
    if complete.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    done = run(argv)
    last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
    need(done.returncode == 0, f"{argv[-1]} cannot be installed: {last:.200}")
    complete.touch()


@pytest.fixture(scope="module")
def node() -> Callable[[str], list[str]]:
    """The two clients from npm, in a folder of their own, fetched once."""
    npm = shutil.which("npm")
    need(npm and shutil.which("node"), "there is no node and npm; on Debian: npm")
    folder = BUILD / "node"
    options = ["--no-audit", "--no-fund", "--prefix", str(folder)]
    installed(folder, [str(npm), "install", *options, *NODE_PACKAGES])
    shutil.copy(FOREIGN / "story.js", folder)
    return lambda client: ["node", str(folder / "story.js"), client]


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], list[str]]:
    """This Python, with packages in a folder of their own, fetched once."""

    def story(package: str) -> list[str]:
        client = "wechatpy"
        code = "import sys, runpy; sys.path[:0] = {!r}; "
        code += "runpy.run_path({!r}, run_name={!r})"
        paths: list[str] = []
        if package != "wechatpy":
            folder = BUILD / f"{package}-{sys.implementation.cache_tag}"
            pip = [sys.executable, "-m", "pip", "install", "-q"]
            installed(folder, [*pip, "--target", str(folder), package])
            paths = [str(folder), str(tmp_path)]
        if package.startswith("openapi-python-client"):
            client = "generated"
            done = run(
                [sys.executable, "-m", "openapi_python_client", "generate"]
                + ["--meta", "none", "--path", str(OPENAPI)]
                + ["--output-path", str(tmp_path / "generated_client")],
                PYTHONPATH=str(folder),
            )
            assert 0 == done.returncode, done.stdout + done.stderr
        story = code.format(paths, str(FOREIGN / "story.py"), "__main__")
        return [sys.executable, "-W", "ignore", "-c", story, client]

    return story


class TestStory:
    """Each call once, a wrong openid, an unknown waybill, a token that ends."""

    def tell(self, argv: list[str], tmp_path: Path) -> None:
        sandbox = Sandbox(clock=Clock(NOON, speed=0), unknown_waybill=931023)
        sandbox.add_waybill(WAYBILL_ID)
        with sandbox.serve() as server:
            text = json.dumps(EXAMPLE)
            told = [server.url, sandbox.appid, sandbox.secret, text]
            # node-easywechat keeps its token in a file there.
            done = run([*argv, *told], tmp_path)

        assert 0 == done.returncode, done.stderr
        assert [WAYBILL_ID, "测试名字", True] == json.loads(done.stdout)
        seen = [(call.endpoint, call.errcode) for call in sandbox.calls]
        assert STORY == [each for each in seen if "token" not in each[0]]
        assert 2 == sandbox.token_fetches.total

    @pytest.mark.parametrize("client", ["node-easywechat", "co-wechat-api"])
    def test_node(self, node, client, tmp_path):
        """Two clients from npm."""
        self.tell(node(client), tmp_path)

    @pytest.mark.parametrize(
        "package", ["wechatpy", "wechatpy==2.0.0a26", "openapi-python-client==0.29.1"]
    )
    def test_python(self, python, package, tmp_path):
        """wechatpy's two lines, and a client generated from the OpenAPI."""
        self.tell(python(package), tmp_path)

    def test_curl(self, tmp_path):
        """Plain curl."""
        need(shutil.which("curl"), "there is no curl; on Debian: curl")

        self.tell([sys.executable, str(FOREIGN / "story.py"), "curl"], tmp_path)


class TestWechatpy:
    def test_post__no_content_type(self, served_door):
        """It sends no Content-Type, and so gets 40003, as from WeChat."""
        from wechatpy import WeChatClient
        from wechatpy.exceptions import WeChatClientException

        access_token = served_door.sandbox.access_token()
        client = WeChatClient("wx", "s", access_token=access_token)
        client.API_BASE_URL = served_door.base_url + OPEN_MSG
        client._http.trust_env = False

        with pytest.raises(WeChatClientException) as caught:
            client.post("trace_waybill", data=EXAMPLE)
        client._http.close()

        assert 40003 == caught.value.errcode

    def test_component(self, served_door):
        """Its service provider, which sends no Content-Type either, gets its tokens."""
        sandbox = served_door.sandbox
        account = sandbox.add_component()
        component = WeChatComponent(account.appid, account.secret, "t", "A" * 43)
        component._http.trust_env = False
        component.API_BASE_URL = served_door.base_url + "/cgi-bin"
        component.session.set("component_verify_ticket", account.ticket)

        pre_auth = component.create_preauthcode()
        code = sandbox.authorization_code(account.appid)
        info: Any = component.query_auth(code)["authorization_info"]
        reply = component.refresh_authorizer_token(
            sandbox.appid, info["authorizer_refresh_token"]
        )
        about = component.get_authorizer_info(sandbox.appid)
        component._http.close()

        assert pre_auth["pre_auth_code"]
        assert "authorizer_access_token" in reply
        assert sandbox.appid == about["authorization_info"]["authorizer_appid"]
        assert {0} == {call.errcode for call in sandbox.calls}
