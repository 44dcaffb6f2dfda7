"""Where an application's provider lives, and the stable name under which its requests are recorded.

``OPENAI_BASE_URL`` and ``AZURE_OPENAI_ENDPOINT`` say where requests go on this machine today; the cassette says
``https://api.openai.com/v1`` and ``https://resource.openai.azure.com``, so a recording made through a gateway,
on one Azure resource or on a mock server's port replays anywhere.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit, urlunsplit

OPENAI = "https://api.openai.com/v1"
AZURE = "https://resource.openai.azure.com"

_AZURE_HOST = re.compile(r"\.(openai\.azure\.(com|us|cn)|cognitiveservices\.azure\.(com|us)|services\.ai\.azure\.com)$")
_AZURE_PATH = re.compile(r"^/openai/(deployments|v1)(/|$)")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port; every spelling of loopback is ``"localhost"``."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Address | None:
        """Return the address that ``url`` names, or None if it is no http(s) URL."""
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            return None
        if parts.hostname is None or port is None:
            return None
        return cls.at(parts.hostname, port)

    @classmethod
    def at(cls, host: str, port: int) -> Address:
        """Return the address of ``host`` and ``port``."""
        return cls("localhost" if is_loopback(host) else host.lower(), port)

    @property
    def is_local(self) -> bool:
        """Whether traffic to it stays on this machine."""
        return self.host == "localhost"


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` (a name or an IP literal) is this machine; no name is looked up."""
    name = host.strip("[]").rstrip(".").lower().partition("%")[0]
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or address.is_unspecified or bool(mapped and mapped.is_loopback)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The provider's base URLs; empty where the environment names none."""

    openai_base_url: str = ""
    azure_endpoint: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Provider:
        """Read OPENAI_BASE_URL and AZURE_OPENAI_ENDPOINT."""
        return cls(
            openai_base_url=environment.get("OPENAI_BASE_URL", "").strip(),
            azure_endpoint=environment.get("AZURE_OPENAI_ENDPOINT", "").strip(),
        )

    @property
    def addresses(self) -> frozenset[Address]:
        """The addresses whose traffic is recorded also where they are on loopback."""
        found = (Address.of(url) for url in (self.openai_base_url, self.azure_endpoint))
        return frozenset(address for address in found if address)

    # a run asks a handful of URLs thousands of times, and takes each apart five times over: a tenth of a lookup
    @lru_cache(maxsize=256)  # noqa: B019 - a provider is a value, so no object is kept alive for it
    def stable(self, url: str) -> str:
        """Return ``url`` under its stable name; without user info and fragment."""
        parts = urlsplit(url)
        address = Address.of(url)
        if address is None:
            return url
        for base, name in ((self.openai_base_url, OPENAI), (self.azure_endpoint, AZURE)):
            if base and address == Address.of(base) and (rest := _below(parts.path, urlsplit(base).path)) is not None:
                if name == OPENAI and _is_azure(parts) and Address.of(self.azure_endpoint) == address:
                    continue  # one server for both dialects: the path tells which is meant
                return _joined(name, rest, parts.query)
        return _joined(*self._guess(parts, address), parts.query)

    def _guess(self, parts: SplitResult, address: Address) -> tuple[str, str]:
        """Return base and path for a URL below none of the base URLs."""
        if _is_azure(parts):
            return AZURE, parts.path
        is_openai = address == Address.of(self.openai_base_url) or (address.is_local and parts.path.startswith("/v1/"))
        if is_openai:
            return "https://api.openai.com", parts.path
        if address == Address.of(self.azure_endpoint):
            return AZURE, parts.path
        is_default = _DEFAULT_PORTS.get(parts.scheme) == address.port
        return f"{parts.scheme}://{address.host}{'' if is_default else f':{address.port}'}", parts.path


def _is_azure(parts: SplitResult) -> bool:
    return bool(_AZURE_HOST.search(parts.hostname or "") or _AZURE_PATH.match(parts.path))


def _below(path: str, base: str) -> str | None:
    """Return what follows ``base`` in ``path``, or None if ``path`` is not below it."""
    base = base.rstrip("/")
    if path == base or path.startswith(f"{base}/"):
        return path[len(base) :]
    return None


def _joined(base: str, path: str, query: str) -> str:
    parts = urlsplit(base)
    return urlunsplit((parts.scheme, parts.netloc, parts.path + path or "/", query, ""))
