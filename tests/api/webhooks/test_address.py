"""Which URLs are taken, and which addresses are connected to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.webhooks.address import BadUrl, Rules, destination
from storage.settings import load_settings
from tasks.errors import BadOption

STRICT = Rules()
LOCAL = Rules(http=True, networks=[ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")])


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.31.255.255"),
        *("192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.1"),
        *("239.255.255.250", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808"),
        *("64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::"),
        *("3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1"),
        *("localhost", "", "8.8.8.8/32", "0x7f000001", "127.1"),
    ],
)
def test_what_is_not_global_is_not_called(address):
    assert not STRICT.permits(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"])
def test_what_is_global_is(address):
    assert STRICT.permits(address)


def test_what_the_operator_allows_is_called_and_nothing_more():
    assert LOCAL.permits("127.0.0.1")
    assert LOCAL.permits("::1")
    assert not LOCAL.permits("10.0.0.1")
    assert not LOCAL.permits("::ffff:127.0.0.1")


@given(st.ip_addresses(v=4))
def test_whatever_python_takes_for_private_is_refused(address):
    if not address.is_global or address.is_multicast:
        assert not STRICT.permits(str(address))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "1 to 2048"),
        ("https://a.test/" + "x" * 2048, "1 to 2048"),
        ("http://example.org/", "https://"),
        ("ftp://example.org/", "https://"),
        ("example.org/hook", "https://"),
        ("https:example.org", "https://"),
        ("https:///hook", "host name"),
        ("https://user@example.org/", "user name"),
        ("https://user:pw@example.org/", "user name"),
        ("https://example.org@127.0.0.1/", "user name"),
        ("https://example.org/#x", "fragment"),
        ("https://example.org/#", "fragment"),
        ("https://example.org/a b", "ASCII"),
        ("https://example.org/\n", "ASCII"),
        ("https://exa\tmple.org/", "ASCII"),
        ("https://bücher.example/", "Punycode"),
        ("https://example。org/", "Punycode"),
        ("https://example.org\\@127.0.0.1/", "backslash"),
        ("https://example.org:22/", "port"),
        ("https://example.org:0/", "port"),
        ("https://example.org:65536/", "no URL"),
        ("https://example.org:x/", "no URL"),
        ("https://[::1/", "no URL"),
        ("https://example.org./", "dot at its end"),
        ("https://.example.org/", "host name"),
        ("https://a..b/", "host name"),
        ("https://-a.org/", "host name"),
        ("https://a%41.org/", "host name"),
        ("https://2130706433/", "usual form"),
        ("https://0x7f000001/", "usual form"),
        ("https://0x7f.1/", "usual form"),
        ("https://017700000001/", "usual form"),
        ("https://127.1/", "usual form"),
        ("https://0177.0.0.1/", "usual form"),
        ("https://127.0.0.1./", "dot at its end"),
        ("https://256.1.1.1/", "usual form"),
        ("https://127.0.0.1/", "private"),
        ("https://169.254.169.254/latest/meta-data/", "private"),
        ("https://[::1]/", "private"),
        ("https://[::ffff:127.0.0.1]/", "private"),
        ("https://[64:ff9b::7f00:1]/", "private"),
        ("https://[fe80::1%25eth0]/", "host"),
        ("https://::1/", "no URL"),
    ],
)
def test_urls_that_are_refused(url, says):
    with pytest.raises(BadUrl, match=says):
        destination(url, STRICT)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://example.org", ("example.org", 443, "example.org", "/")),
        ("https://Example.ORG/a/b?c=d&e=%20", ("example.org", 443, "example.org", "/a/b?c=d&e=%20")),
        ("https://xn--bcher-kva.example:8443/", ("xn--bcher-kva.example", 8443, "xn--bcher-kva.example:8443", "/")),
        ("https://a_b.example.org:443/", ("a_b.example.org", 443, "a_b.example.org", "/")),
        ("https://[2606:4700::1111]:8443/x", ("2606:4700::1111", 8443, "[2606:4700::1111]:8443", "/x")),
        ("https://8.8.8.8/", ("8.8.8.8", 443, "8.8.8.8", "/")),
        ("https://localhost/", ("localhost", 443, "localhost", "/")),  # its address is judged when it is connected to
    ],
)
def test_urls_in_parts(url, parts):
    found = destination(url, STRICT)
    assert (found.host, found.port, found.authority, found.target) == parts


@given(st.text(max_size=60) | st.builds("https://{}".format, st.text(max_size=60)))
def test_any_text_is_a_url_or_refused(text):
    try:
        found = destination(text, STRICT)
    except BadUrl:
        return
    assert found.scheme == "https"
    assert found.target.startswith("/")
    assert found.host.isascii()


def test_a_network_that_is_none_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPLATFLOW_WEBHOOK_ALLOW_PRIVATE", "10.0.0.0/8, intranet")
    with pytest.raises(BadOption, match="SPLATFLOW_WEBHOOK_ALLOW_PRIVATE can't be used"):
        load_settings()
    monkeypatch.setenv("SPLATFLOW_WEBHOOK_ALLOW_PRIVATE", " 10.0.0.0/8, fd00::/8 ,")
    assert Rules.of(load_settings()).permits("fd12::1")
