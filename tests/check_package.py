"""Checks what a build put into its sdist and wheel, and that the wheel works alone.

Run as: python tests/check_package.py DIST
"""

from __future__ import annotations

import email
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def _package_files() -> set[str]:
    """Return the files of the package as they stand in the source tree."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "wxlogistics").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def _fail(problem: str) -> None:
    raise SystemExit(f"check_package: {problem}")


def check_wheel(path: pathlib.Path) -> None:
    """Check that the wheel holds the package whole, the licence, and nothing else."""
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    packed = {name for name in names if name.startswith("wxlogistics/")}
    meta = {name for name in names if ".dist-info/" in name}
    if packed != _package_files():
        _fail(f"the wheel and the source differ in {packed ^ _package_files()}")
    if names - packed - meta:
        _fail(f"the wheel holds more than the package: {names - packed - meta}")
    if not any(name.endswith("LICENSE") for name in meta):
        _fail("the wheel lacks the licence")


def check_description(path: pathlib.Path) -> None:
    """Check that PyPI's page has no relative link: there it would be dead."""
    with zipfile.ZipFile(path) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(wheel.read(name))
    description = metadata.get_payload(decode=True).decode()
    links = re.findall(r"\]\(([^)]*)\)|(?:href|src)=\"([^\"]*)\"", description)
    dead = [link for pair in links for link in pair if link and "://" not in link]
    if dead:
        _fail(f"the READMEs link to what PyPI does not have: {dead}")


def check_rating(path: pathlib.Path) -> None:
    """
    Check that pyroma finds nothing missing in the metadata.

    It also asks for a pyproject.toml, which would hold nothing: all is in setup.cfg.
    """
    pyroma = [sys.executable, "-m", "pyroma"]
    done = subprocess.run([*pyroma, "--skip-tests=MissingPyProjectToml", "-n10", path])
    if done.returncode:
        _fail("pyroma's rating is below 10 of 10")


def check_sdist(path: pathlib.Path) -> None:
    """Check that the sdist holds what a build and its tests need."""
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = _package_files() | {
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "README.zh-CN.md",
        "docs/index.md",
        "examples/README.md",
        "setup.cfg",
        "setup.py",
    }
    if wanted - names:
        _fail(f"the sdist lacks {wanted - names}")


def check_install(path: pathlib.Path) -> None:
    """
    Check that the wheel installs with the two core dependencies only, and imports.
    """
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = pathlib.Path(folder) / "bin" / "python"
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, path], check=True)
        code = (
            "import sys, wxlogistics; print(wxlogistics.__version__);"
            "extras = {'aiohttp', 'click', 'pytest', 'responses', 'rich'};"
            "sys.exit(bool(extras & set(sys.modules)))"
        )
        subprocess.run([python, "-c", code], check=True, cwd=folder)
        command = pathlib.Path(folder) / "bin" / "wxlogistics"
        bare = subprocess.run([command, "demo"], capture_output=True, text=True)
        if bare.returncode != 2 or "wxlogistics[cli]" not in bare.stderr:
            _fail(f"without the extra, the command says: {bare.stderr}")
        subprocess.run([*install, f"{path}[cli,sandbox]"], check=True)
        subprocess.run([command, "demo"], check=True, cwd=folder)


def main(folder: str) -> None:
    """Check the one wheel and the one sdist in *folder*."""
    dist = pathlib.Path(folder)
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    check_wheel(wheel)
    check_description(wheel)
    check_sdist(sdist)
    check_rating(sdist)
    check_install(wheel)
    print(f"check_package: {wheel.name} and {sdist.name} hold what they should")


if __name__ == "__main__":
    main(sys.argv[1])
