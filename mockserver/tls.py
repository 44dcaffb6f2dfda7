"""HTTPS: what a certificate in files makes of a server."""

import ssl

TlsFiles = tuple[str, str | None] | None
"""Certificate chain and private key in PEM (None: in the same file); no files at all mean plain HTTP."""


def context_of(files: TlsFiles) -> ssl.SSLContext | None:
    """The TLS context for these files; ssl.SSLError or OSError for what is no certificate with its key."""
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context
