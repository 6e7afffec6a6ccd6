"""HTTPS: a certificate for WeChat's names, of an authority made for one run."""

from __future__ import annotations

import ssl
from typing import Collection

from .wire import HOSTS


def own_context(ca_file: str, names: Collection[str] = ()) -> ssl.SSLContext:
    """
    Return a context with a certificate for WeChat's hosts, the loopback and *names*.

    The certificate of the authority that signed it is written to *ca_file*; its key is
    nowhere.

    Raises:
        OSError: The file cannot be written.
        ValueError: No certificate can have one of the *names*.
    """
    try:
        import trustme
    except ImportError as error:
        raise ImportError(
            "--tls needs trustme: pip install 'wxlogistics[sandbox]'"
        ) from error

    authority = trustme.CA(organization_name="wxlogistics sandbox")
    try:
        issued = authority.issue_cert(*HOSTS, "localhost", "127.0.0.1", "::1", *names)
    except ValueError as error:
        raise ValueError(f"--allow-host: {error}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    authority.cert_pem.write_to_path(ca_file)
    return context


def given_context(certfile: str, keyfile: str | None) -> ssl.SSLContext:
    """
    Return a context with a certificate of the user's own.

    Raises:
        ValueError: A file cannot be read, or holds no certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certfile, keyfile)
    except OSError as error:
        files = certfile if keyfile is None else f"{certfile}, {keyfile}"
        raise ValueError(f"{files}: {error.strerror or error}") from None
    return context
