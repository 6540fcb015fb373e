"""Where webhooks may lead: which URLs are taken, and which addresses are connected to.

A name can mean another address at every look, so names are not judged when a webhook is made. What counts is the address that a
connection is made to (`api.webhooks.connect`); what is refused here is refused early, and for being ambiguous.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from storage.settings import Settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MAX_URL_CHARACTERS = 2048
DEFAULT_PORTS = {"https": 443, "http": 80}
FIRST_FREE_PORT = 1024  # below it only the two: what listens there speaks other protocols
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# IANA's special-purpose registries, of IPv4 what is not reached globally, and multicast. Not `is_global`, which changes with Python.
_REFUSED_V4 = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
# Of IPv6 only what is assigned to be global, and of that neither Teredo and other protocols, documentation, nor 6to4. IPv4 in IPv6
# (mapped, NAT64), loopback, link-local, unique local and multicast addresses are outside.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_REFUSED_V6 = [
    ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]  # fmt: skip


class BadUrl(ValueError):
    """A URL that a webhook can't have; the sentence goes on after "url"."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the operator allows.

    Attributes:
        http: plain http as well as https.
        networks: addresses that are connected to although they are not global.
    """

    http: bool = False
    networks: Sequence[Network] = ()

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """The rules of the settings."""
        return cls(http=settings.webhook_allow_http, networks=settings.webhook_networks)

    def permits(self, address: str) -> bool:
        """Whether an address, as numbers, may be connected to."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        if any(ip in network for network in self.networks):
            return True
        if isinstance(ip, ipaddress.IPv4Address):
            return not any(ip in network for network in _REFUSED_V4)
        return ip in _GLOBAL_V6 and not any(ip in network for network in _REFUSED_V6)


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A URL in parts. `host` without brackets; `authority` as the Host header has it; `target` is path and query."""

    scheme: str
    host: str
    port: int
    authority: str
    target: str


def destination(url: str, rules: Rules) -> Destination:
    """The parts of a webhook's URL.

    Raises:
        BadUrl: it is none, or not one that may be called.
    """
    if not 1 <= len(url) <= MAX_URL_CHARACTERS:
        raise BadUrl(f"must have 1 to {MAX_URL_CHARACTERS} characters")
    if not all("!" <= character <= "~" for character in url) or "\\" in url:
        raise BadUrl("must be plain ASCII without spaces and backslashes: write a name in Punycode, and percent-encode")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadUrl("is no URL") from None
    schemes = ("https", "http") if rules.http else ("https",)
    if parts.scheme not in schemes or "://" not in url:
        raise BadUrl(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if "@" in parts.netloc:
        raise BadUrl("must not hold a user name or password")
    if "#" in url:
        raise BadUrl("must not have a fragment")
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    if port < FIRST_FREE_PORT and port not in DEFAULT_PORTS.values():
        raise BadUrl(f"must have the port 443, 80, or one from {FIRST_FREE_PORT} on")
    shown = _checked(host, bracketed=parts.netloc.startswith("["), rules=rules)
    return Destination(
        scheme=parts.scheme,
        host=host,
        port=port,
        authority=shown if port == DEFAULT_PORTS[parts.scheme] else f"{shown}:{port}",
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )


def _checked(host: str, *, bracketed: bool, rules: Rules) -> str:
    """The host as a URL has it.

    Raises:
        BadUrl
    """
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        ip = None
    if ip is not None:
        if (ip.version == 6) != bracketed or "%" in host:
            raise BadUrl("has a host that can't be used")
        if not rules.permits(host):
            raise BadUrl("must not have a private, loopback, link-local or reserved address")
        return f"[{host}]" if bracketed else host
    # What ends in a number is an address to some resolvers: 127.1, 2130706433, 0x7f.1
    if bracketed or len(host) > 253 or not _NAME.fullmatch(host) or _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise BadUrl("must have a host name, without a dot at its end, or an address in its usual form")
    return host
