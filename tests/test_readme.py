"""What the README installs is enough for what it shows, in a new environment."""

import os
import shlex
import shutil
import sys
from functools import partial

import documents
import programs
import pytest
from test_docs import CLEAN

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        os.environ.get("WXLOGISTICS_REQUIRE_SERVERS") != "1",
        reason="takes long: WXLOGISTICS_REQUIRE_SERVERS=1 runs it",
    ),
]


@pytest.mark.parametrize("page", documents.READMES)
def test_readme__installation_is_enough(page, tmp_path):
    checkout = tmp_path / "checkout"
    leave = shutil.ignore_patterns(".*", "build", "*.egg-info", "node_modules", "site")
    shutil.copytree(documents.ROOT, checkout, ignore=leave)
    bin = tmp_path / "venv" / "bin"

    run = partial(programs.run, cwd=tmp_path, env=CLEAN | {"PYTHONUTF8": "1"})
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    install = next(one for one in documents.commands(page) if one.startswith("pip"))
    wanted = shlex.split(install)[-1].replace("wxlogistics", str(checkout))
    run(bin / "pip", "install", "-q", wanted)
    first, *others = documents.blocks(page, "python")
    (tmp_path / "first.py").write_text(first.code, encoding="utf-8")
    tests = [block.code for block in others if "def test_" in block.code]
    for number, code in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(code, encoding="utf-8")

    assert first.printed == run(bin / "python", "first.py")
    assert f"{len(tests)} passed" in run(bin / "pytest", "-q", "--ignore=checkout")
