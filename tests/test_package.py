"""The installed metadata: setuptools ignores misspelt keys."""

import ast
import configparser
import re
import runpy
import sys
import types
from importlib import metadata
from pathlib import Path

import pytest

import wxlogistics
from wxlogistics import _pyinstaller

ROOT = Path(__file__).parent.parent

DISTRIBUTION = metadata.distribution("wxlogistics")


def requirements(extra: str = "") -> set[str]:
    """Return what setup.cfg requires for *extra*, or for the core."""
    found = set()
    for line in DISTRIBUTION.requires or []:
        requirement, _, marker = line.partition(";")
        named = re.search(r"extra == ['\"](.+)['\"]", marker)
        if (named[1] if named else "") == extra:
            found.add(requirement.strip())
    return found


def names(extra: str) -> set[str]:
    return {re.split(r"[^\w.-]", each)[0].lower() for each in requirements(extra)}


class TestMetadata:
    def test_version__in_one_place(self):
        assert "wxlogistics" == DISTRIBUTION.metadata["Name"]
        assert wxlogistics.__version__ == DISTRIBUTION.version
        assert re.fullmatch(r"\d+\.\d+\.\d+", wxlogistics.__version__)

    def test_requires__floors_alone(self):
        """urllib3 2.2 is the first with `read1`, which bounds a body that trickles."""
        assert {"attrs>=22.2", "requests>=2.32.2", "urllib3>=2.2"} == requirements()

    def test_extras__named(self):
        named = DISTRIBUTION.metadata.get_all("Provides-Extra") or []
        parts = ["cli", "excel", "sandbox", "testing"]

        assert {"all", "bench", "dev", "docs", "once", *parts} == {*named}
        assert {"click"} == names("cli")
        assert {"python-calamine"} == names("excel")
        assert {"pytest", "responses"} == names("testing")
        assert names("all") == {each for part in parts for each in names(part)}

    def test_entry_points__load(self):
        assert {
            ("console_scripts", "wxlogistics", "wxlogistics.__main__:main"),
            ("pyinstaller40", "hook-dirs", "wxlogistics._pyinstaller:get_hook_dirs"),
            ("pytest11", "wxlogistics", "wxlogistics.sandbox.pytest_plugin"),
        } == {(each.group, each.name, each.value) for each in DISTRIBUTION.entry_points}
        assert all(each.load() for each in DISTRIBUTION.entry_points)

    def test_pythons__classifiers(self):
        classifiers = DISTRIBUTION.metadata.get_all("Classifier") or []

        assert ">=3.10" == DISTRIBUTION.metadata["Requires-Python"]
        assert ["3.10", "3.11", "3.12", "3.13", "3.14"] == [
            each.rpartition(" ")[2]
            for each in classifiers
            if re.search(r":: 3\.\d+$", each)
        ]
        assert "Typing :: Typed" in classifiers

    def test_licence__an_expression(self):
        """
        PyPI refuses a classifier beside it; setuptools before 77 write the
        older field.
        """
        metadata = DISTRIBUTION.metadata
        classifiers = metadata.get_all("Classifier") or []

        assert "MIT" in (metadata.get("License-Expression"), metadata.get("License"))
        assert not [each for each in classifiers if each.startswith("License ::")]
        assert "MIT License" in (ROOT / "LICENSE").read_text(encoding="utf-8")

    def test_urls__present(self):
        metadata = DISTRIBUTION.metadata
        urls = [each.partition(", ")[0] for each in metadata.get_all("Project-URL")]

        assert metadata["Home-page"].startswith("https://")
        assert "@" in metadata["Author-email"]
        assert ["Changelog", "WeChat API"] == urls

    def test_description__both_languages(self):
        """PyPI cannot link to a file, so its page holds both READMEs."""
        description = DISTRIBUTION.metadata["Description"] or ""
        description = description or str(DISTRIBUTION.metadata.get_payload())

        for name in ("README.md", "README.zh-CN.md"):
            last = (ROOT / name).read_text(encoding="utf-8").splitlines()[-1]
            assert last in description


class TestPyInstaller:
    def test_hook__collects_package_data(self, monkeypatch):
        hooks = types.ModuleType("PyInstaller.utils.hooks")
        hooks.collect_data_files = lambda package: [f"files of {package}"]
        for name in ("PyInstaller", "PyInstaller.utils"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, hooks.__name__, hooks)
        (folder,) = _pyinstaller.get_hook_dirs()

        for package in ("wxlogistics.cli", "wxlogistics.sandbox"):
            names = runpy.run_path(str(Path(folder, f"hook-{package}.py")))

            assert [f"files of {package}"] == names["datas"]


class TestSetupCfg:
    @pytest.fixture
    def config(self) -> configparser.ConfigParser:
        config = configparser.ConfigParser(interpolation=None)
        config.read(ROOT / "setup.cfg", encoding="utf-8")
        return config

    def test_packages__all_named(self, config):
        source = ROOT / "wxlogistics"
        found = {
            ".".join(path.parent.relative_to(ROOT).parts)
            for path in source.rglob("__init__.py")
        }

        assert found == set(config["options"]["packages"].split())

    def test_package_data__all_named(self, config):
        """setuptools does not install a file that is not named."""
        named = {
            path.relative_to(ROOT)
            for package, patterns in config["options.package_data"].items()
            for pattern in patterns.split()
            for path in (ROOT / package.replace(".", "/")).glob(pattern)
        }
        found = {
            path.relative_to(ROOT)
            for path in (ROOT / "wxlogistics").rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc")
        }

        assert found == named

    def test_version__of_a_module_without_imports(self, config):
        source = (ROOT / "wxlogistics" / "_version.py").read_text(encoding="utf-8")

        assert "attr: wxlogistics._version.__version__" == config["metadata"]["version"]
        assert [ast.Expr, ast.Assign] == [type(each) for each in ast.parse(source).body]

    def test_oldest__every_bound(self, config):
        pins = config["testenv:oldest"]["deps"].splitlines()
        # pytest's lowest does not run on newer Pythons.
        pins = {pin.removesuffix('; python_version < "3.12"') for pin in pins}
        lowest = {
            each.replace(">=", "==") for each in requirements() | requirements("all")
        }

        assert lowest == {pin for pin in pins if "==" in pin and ";" not in pin}

    def test_pyproject__none(self):
        assert not (ROOT / "pyproject.toml").exists()
        assert (ROOT / "setup.py").exists()
