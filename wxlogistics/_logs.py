"""A filter that keeps access tokens out of urllib3's log lines."""

from __future__ import annotations

import logging
import re

_TOKEN = re.compile(r"(access_token=)[^&\s'\")]+")


def mask_tokens(record: logging.LogRecord) -> bool:
    """
    Replace the tokens in the URLs that urllib3 logs; keep every record.
    """
    message = record.getMessage()
    if _TOKEN.search(message):
        record.msg, record.args = _TOKEN.sub(r"\1***", message), ()
        # The traceback of "Failed to parse headers" repeats what the server sent.
        record.exc_info = record.exc_text = None
    return True
