"""`wxlogistics carriers`: WeChat's delivery list, kept for a day."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Sequence

import attrs
import click

from .. import MAIN_URL
from ..models import DeliveryInfo, delivery_list
from . import output
from .command import Command, option
from .language import plural, say

#: Seconds for which the list is kept.
KEPT_FOR = 24 * 3600


def command(terminal: output.Terminal) -> click.Command:
    """
    Return the command.
    """

    def run(text: str | None, refresh: bool) -> int:
        path = cache_path(terminal.base_urls)
        kept = None if refresh else load(path)
        if kept:
            fetched_at, carriers = kept
        else:
            with terminal.client() as client:
                carriers = client.get_delivery_list()
            fetched_at = time.time()
            save(path, carriers)
        found = search(carriers, text or "")
        if terminal.as_json:
            fields = {"count": len(found), "fetched_at": int(fetched_at)}
            each = [*map(attrs.asdict, found)]
            output.answer({"ok": True, **fields, "carriers": each})
            return output.GOOD
        count = plural("{count} carrier", "{count} carriers", len(found))
        if found:
            _show(found)
        else:
            count = say("No carrier has {text} in its id or name.", text=text)
        if kept:
            count += say("[list kept]", time=output.when(int(fetched_at)))
        output.note(click.style(count, dim=True))
        return output.GOOD

    argument = click.Argument(["text"], required=False, metavar="[TEXT]")
    params = [argument, option("--refresh", is_flag=True)]
    examples = ["wxlogistics carriers", "wxlogistics carriers 顺丰"]
    return Command(terminal, "carriers", run, params, examples=examples)


def _show(carriers: Sequence[DeliveryInfo]) -> None:
    rows = [("delivery_id", say("name"))]
    rows += [(each.delivery_id, each.delivery_name) for each in carriers]
    left = max(output.cells(output.clean(id_)) for id_, _ in rows) + 2
    for id_, name in rows:
        head = click.style(output.pad(output.clean(id_), left), fg="cyan")
        output.echo(output.clean(name), head=head)


def search(carriers: Sequence[DeliveryInfo], text: str) -> list[DeliveryInfo]:
    """
    Return the carriers with *text* in their id or name; the one of that id first.
    """
    wanted = text.strip().casefold()
    words = "{0.delivery_id}\n{0.delivery_name}".format
    found = [each for each in carriers if wanted in words(each).casefold()]
    if wanted:
        found.sort(key=lambda carrier: carrier.delivery_id.casefold() != wanted)
    return found


def cache_path(base_urls: Sequence[str]) -> Path:
    """
    Return where the list is kept; each address has its own.
    """
    urls = ",".join(base_urls) or os.environ.get("WXLOGISTICS_BASE_URL") or MAIN_URL
    name = hashlib.sha256(urls.encode("utf-8", "replace")).hexdigest()[:12]
    return _cache_folder() / "wxlogistics" / f"carriers-{name}.json"


def _cache_folder() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification: a relative path is to be ignored.
    if folder and os.path.isabs(folder):
        return Path(folder)
    try:
        home = Path.home()
    except RuntimeError:
        # No HOME, and a user that the system does not know: nothing is kept.
        return Path(os.devnull)
    if sys.platform == "win32":  # pragma: no cover
        return Path(os.environ.get("LOCALAPPDATA", home))
    if sys.platform == "darwin":  # pragma: no cover
        return home / "Library" / "Caches"
    return home / ".cache"


def load(path: Path) -> tuple[float, tuple[DeliveryInfo, ...]] | None:
    """
    Return when the list in *path* was fetched, and it; None if it is old or not a list.
    """
    try:
        kept = json.loads(path.read_bytes())
        fetched_at, carriers = kept["fetched_at"], delivery_list(kept)
        is_fresh = carriers and 0 <= time.time() - fetched_at < KEPT_FOR
    # Rubbish of any kind is not a list.
    except Exception:
        return None
    return (fetched_at, carriers) if is_fresh else None


def save(path: Path, carriers: Sequence[DeliveryInfo]) -> None:
    """
    Keep *carriers*; `load()` takes what was torn for nothing.
    """
    kept = {"fetched_at": time.time(), "delivery_list": [*map(attrs.asdict, carriers)]}
    # Without a cache folder the next run is slower, no more.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(kept), encoding="utf-8")
