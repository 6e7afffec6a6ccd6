"""Each example passes its own tests, with real servers; its README's commands work."""

import contextlib
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Iterator

import programs
import pytest
import requests
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from private import REQUIRED, WAYBILL_ID
from programs import program, run_python

from wxlogistics import Client, WaybillStatus
from wxlogistics.sandbox import Sandbox

pytestmark = pytest.mark.once

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"
TRANSLATIONS = EXAMPLES / "django_shop/locale/zh_Hans/LC_MESSAGES/django"

#: Seconds until a server that does not start fails the test.
PATIENCE = 120


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def environment(**more: str) -> dict[str, str]:
    """Return an environment without servers and credentials of the caller."""
    foreign = re.compile(
        "(WXLOGISTICS|DJANGO|FLASK|CELERY|COV|PYTEST)_.*|.*_(proxy|PROXY)|.*_URL"
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "WXLOGISTICS_REQUIRE_SERVERS" or not foreign.fullmatch(name)
    }
    python = {
        "PYTHONDONTWRITEBYTECODE": "1",
        # Django's server does not flush its output into a pipe.
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    }
    return kept | python | more


def run(example: str, *command: str, **more: str) -> str:
    return run_python(*command, cwd=EXAMPLES / example, env=environment(**more))


def run_pytest(example: str, **more: str) -> None:
    said = run(example, "-m", "pytest", "-q", "-p", "no:cacheprovider", **more)

    assert re.search(r"^\d+ passed", said, re.MULTILINE), said


@contextlib.contextmanager
def running(
    command: list[str], ready: str, stop: int = signal.SIGTERM, **options: object
) -> Iterator[re.Match[str]]:
    """Run a server, ready once its output matches *ready*, until the block ends."""
    with tempfile.NamedTemporaryFile() as output:
        server = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
        try:
            ends_at = time.monotonic() + PATIENCE
            while True:
                said = pathlib.Path(output.name).read_text("utf-8", "replace")
                found = re.search(ready, said, re.DOTALL)
                if found:
                    break
                assert server.poll() is None, said
                assert time.monotonic() < ends_at, said
                time.sleep(0.05)
            yield found
        finally:
            # The whole group: a shell or make does not pass a signal on.
            os.killpg(server.pid, stop)
            server.wait(PATIENCE)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that lives as long as these tests."""
    initdb, server = (program(name, "postgresql") for name in ("initdb", "postgres"))
    # It refuses root.
    user = {"user": "postgres", "group": "postgres", "extra_groups": ()}
    options = user if os.geteuid() == 0 else {}
    password = secrets.token_urlsafe(12)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wxlogistics-postgres-"))
    try:
        (folder / "password").write_text(password)
        if options:
            shutil.chown(folder, "postgres")
            shutil.chown(folder / "password", "postgres")
        subprocess.run(
            [
                *(initdb, "--no-sync", "--username=shop", "--encoding=UTF8"),
                *("--locale=C", "--auth=scram-sha-256"),
                *(f"--pwfile={folder}/password", f"{folder}/data"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.environ["PATH"]},
            **options,
        )
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
        }
        command = [server, "-D", f"{folder}/data"]
        command += [f"--{name}={value}" for name, value in settings.items()]
        with running(
            command, "ready to accept connections", signal.SIGINT, cwd=folder, **options
        ):
            yield f"postgres://shop:{password}@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder)


class TestDjangoShop:
    def test_tests__pass_with_sqlite(self):
        run_pytest("django_shop")

    def test_tests__pass_with_manage_py(self):
        said = run("django_shop", "-W", "error", "manage.py", "test")

        assert "\nOK" in said

    def test_tests__pass_with_postgresql(self, postgres):
        said = run(
            *("django_shop", "-W", "error", "manage.py", "test"), DATABASE_URL=postgres
        )

        assert "\nOK\n" in said
        assert "skipped" not in said

    def test_translations__complete(self):
        with open(TRANSLATIONS.with_suffix(".po"), "rb") as po:
            texts = {text.id: text.string for text in read_po(po)}
        with open(TRANSLATIONS.with_suffix(".mo"), "rb") as mo:
            compiled = {text.id: text.string for text in read_mo(mo)}

        assert all(texts.values())
        assert compiled == texts

    def test_check__deploy(self):
        run(
            *("django_shop", "manage.py", "check", "--fail-level=WARNING"),
            WXLOGISTICS_APPID="wx0123456789abcdef",
            WXLOGISTICS_SECRET="secret",
        )

    def test_demo(self):
        port = free_port()
        command = [sys.executable, "demo.py", f"--port={port}"]
        ready = r"密码: (\S+)\n.*Quit the server"
        options = {"cwd": EXAMPLES / "django_shop", "env": environment()}
        shop = f"http://127.0.0.1:{port}"
        with running(command, ready, **options) as found:
            staff = log_in(f"{shop}/admin/login/", "staff", found[1])
            orders = f"{shop}/admin/orders/order/"
            csrf = {"csrfmiddlewaretoken": staff.cookies["csrftoken"]}
            page = staff.post(
                orders, csrf | {"action": "ship", "_selected_action": ["1"]}
            )
            assert "已发货" in page.text
            assert "微信开始跟踪物流" in page.text

            customer = log_in(f"{shop}/accounts/login/", "customer", found[1])
            order = customer.get(f"{shop}/orders/1/").json()
            assert len(order["waybill_token"]) == 64
            assert order["state_label"] == "已发货"


def log_in(url: str, username: str, password: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers["Accept-Language"] = "zh-CN"
    session.get(url)
    form = {
        "csrfmiddlewaretoken": session.cookies["csrftoken"],
        "username": username,
        "password": password,
        "next": "/",
    }
    assert session.post(url, form).ok
    assert "sessionid" in session.cookies
    return session


class TestFlaskShop:
    def test_tests__pass_with_sqlite(self):
        run_pytest("flask_shop")

    def test_tests__pass_with_postgresql(self, postgres):
        run_pytest("flask_shop", DATABASE_URL=postgres)

    def test_commands__run_twice(self, tmp_path):
        surroundings = {
            "DATABASE_URL": f"sqlite:///{tmp_path}/shop.sqlite3",
            "LC_ALL": "C.UTF-8",
        }
        for command in ("init-db", "init-db", "refresh-orders"):
            said = run(
                *("flask_shop", "-m", "flask", "--app", "shop", command), **surroundings
            )
        assert "0 calls to WeChat" in said


class TestMiniprogram:
    def test_pages__work_with_flask_shop(self):
        node = program("node", "nodejs")
        command = [sys.executable, "demo.py", "--port=0"]
        options = {"cwd": EXAMPLES / "flask_shop", "env": environment()}
        with running(command, r"(http://\S+)/api", **options) as found:
            said = programs.run(
                *(node, "--test", "test/miniprogram.test.js"),
                cwd=EXAMPLES / "miniprogram",
                env=environment(SHOP_URL=found[1]),
            )

        assert re.search(r"pass 1\d\n", said), said


class TestCeleryWorker:
    def test_tests__pass_with_redis(self):
        program("redis-server", "redis-server")

        run_pytest("celery_worker")

    def test_demo(self):
        program("redis-server", "redis-server")

        said = run("celery_worker", "demo.py")

        assert said.count("signed 已签收") == 3
        assert "未完成的订单: 0" in said


class TestScript:
    @pytest.fixture
    def sandbox(self):
        sandbox = Sandbox()
        with sandbox.serve() as server:
            account = {"APPID": sandbox.appid, "SECRET": sandbox.secret}
            account["BASE_URL"] = server.url
            variables = {f"WXLOGISTICS_{name}": account[name] for name in account}
            yield sandbox, environment(**variables)

    def script(self, sandbox, *arguments, **more):
        return subprocess.run(
            [sys.executable, "script.py", *arguments],
            cwd=EXAMPLES,
            env=sandbox[1] | more,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )

    def test_script__status(self, sandbox):
        world, variables = sandbox
        url = variables["WXLOGISTICS_BASE_URL"]
        with Client(world.access_token, base_url=url) as client:
            waybill_token = client.trace_waybill(**REQUIRED["trace_waybill"])
        world.move(WAYBILL_ID, WaybillStatus.SIGNED)

        done = self.script(sandbox, waybill_token)

        assert (done.returncode, done.stdout) == (0, f"{WAYBILL_ID} 已签收\n")

    def test_script__no_status(self, sandbox):
        sandbox[0].fail("query_trace", status=200, body='{"waybill_info": {}}')

        done = self.script(sandbox, "T")

        assert done.returncode == 1
        assert "waybill_info.status" in done.stderr

    def test_script__output_cannot_encode(self, sandbox):
        body = '{"waybill_info": {"waybill_id": "SF1", "status": 4}}'
        sandbox[0].fail("query_trace", status=200, body=body)

        done = self.script(sandbox, "T", PYTHONIOENCODING="ascii")

        assert (done.returncode, done.stdout) == (0, "SF1 ???\n")

    def test_script__no_token(self, sandbox):
        done = self.script(sandbox)

        assert done.returncode == 1
        assert "python script.py WAYBILL_TOKEN" in done.stderr

    def test_script__refusal(self, sandbox):
        done = self.script(sandbox, "not a token")

        assert done.returncode == 1
        assert "9300507" in done.stderr
        assert "Traceback" not in done.stderr

    def test_script__at_most_ten_lines(self):
        code = (EXAMPLES / "script.py").read_text(encoding="utf-8").split('"""')[2]

        lines = [line.strip() for line in code.splitlines()]

        assert len([line for line in lines if line and line[0] != "#"]) <= 10


NOT_COPIED = shutil.ignore_patterns(".venv", "*.sqlite3", "instance", "__pycache__")

#: Programs that a README's commands need, with Debian's packages.
NEEDS = {
    "celery_worker/README.md": {"redis-server": "redis-server"},
    "miniprogram/README.md": {"node": "nodejs"},
}

#: A part of the README's name and command, the options that it needs in a test, and
#: what a server prints when it is ready. The first match counts.
OPTIONS = [
    ("django_shop.*make demo", "", "Quit the server"),
    ("flask_shop.*make demo", "", "/api\n"),
    ("createsuperuser", " --noinput", None),
    ("runserver", " 127.0.0.1:{port}", "Quit the server"),
    ("gunicorn", " --bind=127.0.0.1:{port}", "Listening at"),
    ("redis-server", " --bind 127.0.0.1 --port {redis} --save ''", "eady to accept"),
    (" worker ", "", r"\[queues\]"),
    (" beat", "", "is starting"),
    ("", "", None),
]

READMES = [
    path.relative_to(EXAMPLES).as_posix()
    for path in sorted(EXAMPLES.glob("README.md"))
    + sorted(EXAMPLES.glob("*/README.md"))
]


@pytest.mark.parametrize("readme", READMES)
class TestReadmes:
    def test_links__exist(self, readme):
        for name in (readme, readme.replace(".md", ".zh-CN.md")):
            path = EXAMPLES / name
            links = re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8"))

            assert links
            assert [link for link in links if not (path.parent / link).exists()] == []

    def test_commands__run_as_written(self, readme, tmp_path):
        commands = re.findall(r"^\$ (.*)", (EXAMPLES / readme).read_text("utf-8"), re.M)
        for name, package in NEEDS.get(readme, {}).items():
            program(name, package)
        shutil.copytree(EXAMPLES, tmp_path, ignore=NOT_COPIED, dirs_exist_ok=True)
        folder = (tmp_path / readme).parent
        # As after `make install`, which would download the packages.
        for requirements in tmp_path.glob("*/requirements.txt"):
            (requirements.parent / ".venv").symlink_to(sys.prefix)
            os.utime(requirements, (0, 0))
        demo, redis = free_port(), free_port()
        variables = environment(
            # gunicorn keeps a socket there.
            HOME=str(tmp_path),
            PORT=str(demo),
            REDIS_URL=f"redis://127.0.0.1:{redis}/0",
            DJANGO_SUPERUSER_USERNAME="boss",
            DJANGO_SUPERUSER_EMAIL="boss@shop.example",
            DJANGO_SUPERUSER_PASSWORD="of the boss",
        )
        options = {"cwd": folder, "env": variables, "shell": True}
        with contextlib.ExitStack() as servers:
            for command in commands:
                for part, more, ready in OPTIONS:
                    if re.search(part, f"{readme}: {command}"):
                        break
                command = command.replace(":5000", f":{demo}")
                command += more.format(port=free_port(), redis=redis)
                if ready:
                    servers.enter_context(running(command, ready, **options))
                else:
                    subprocess.run(command, check=True, timeout=PATIENCE, **options)

    def test_commands__are_the_same(self, readme):
        english, chinese = (
            re.findall(r"^\$ .*|`[A-Z_]+`", path.read_text(encoding="utf-8"), re.M)
            for path in (
                EXAMPLES / readme,
                EXAMPLES / readme.replace(".md", ".zh-CN.md"),
            )
        )

        assert english == chinese
