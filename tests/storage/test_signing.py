"""A signed URL works as it was made, until its time is over, and in no other form."""

from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import signing
from storage.signing import BadSignature, ExpiredSignature

SECRET = b"a secret of the tests, long enough"
NOW = 1_800_000_000
any_text = st.text(st.characters(codec=None), max_size=40)
plain_text = st.text(max_size=40)


def url_of(key: str = "jobs/1/outputs/1/scene.ply", method: str = "GET", **more: str) -> str:
    return signing.signed_url(SECRET, method, key, base_url="http://host:8000/", expires=NOW + 60, **more)


def opened(url: str, method: str = "GET", *, secret: bytes = SECRET, now: float = NOW) -> signing.SignedQuery:
    """What the server does with a URL."""
    parts = urlsplit(url)
    key = unquote(parts.path.removeprefix(signing.PATH), errors="strict")
    return signing.verify_query(secret, method, key, parse_qsl(parts.query, keep_blank_values=True), now=now)


@given(key=plain_text, name=st.none() | plain_text, kind=st.none() | plain_text, method=st.sampled_from(["GET", "PUT"]))
def test_a_url_works_as_it_was_made(key: str, name: str | None, kind: str | None, method: str):
    url = signing.signed_url(
        SECRET, method, key, base_url="https://host", expires=NOW + 60, name=name, content_type=kind
    )
    assert url.isascii()
    assert opened(url, method) == signing.SignedQuery(name=name, content_type=kind)


def test_get_permits_head_and_nothing_else():
    assert opened(url_of(), "HEAD")
    for method in ("PUT", "DELETE", "POST", "get", ""):
        with pytest.raises(BadSignature):
            opened(url_of(), method)
    for method in ("GET", "HEAD"):
        with pytest.raises(BadSignature):
            opened(url_of(method="PUT"), method)


def test_time_runs_out():
    assert opened(url_of(), now=NOW + 59.9)
    for now in (NOW + 60, NOW + 10**9):
        with pytest.raises(ExpiredSignature):
            opened(url_of(), now=now)


def test_another_secret():
    for secret in (SECRET + b"x", SECRET[:-1], b"x"):
        with pytest.raises(BadSignature):
            opened(url_of(), secret=secret)
    with pytest.raises(ValueError, match="empty"):
        signing.sign(b"", "GET", "a", expires=1)


def test_every_changed_character_is_noticed():
    url = url_of(key="jobs/Ä b/scene.ply", name="My room.ply", content_type="model/x")
    start = url.index(signing.PATH) + len(signing.PATH)
    original = (urlsplit(url).path, sorted(parse_qsl(urlsplit(url).query)))
    for place in range(start, len(url)):
        for bit in range(7):
            changed = url[:place] + chr(ord(url[place]) ^ (1 << bit)) + url[place + 1 :]
            try:
                parts = urlsplit(changed)
                same = (unquote(parts.path), sorted(parse_qsl(parts.query))) == (unquote(original[0]), original[1])
                opened(changed)
            except (BadSignature, UnicodeDecodeError):
                continue
            assert same, f"accepted {changed}"  # another spelling of the same request, such as %c3 for %C3


@pytest.mark.parametrize(
    "expires", ["", " 1800000060", "+1800000060", "01800000060", "1_800_000_060", "1800000060.0", "١٨"]
)
def test_an_expiry_has_one_spelling(expires: str):
    signature = signing.sign(SECRET, "GET", "a", expires=NOW + 60)
    with pytest.raises(BadSignature):
        signing.verify(SECRET, "GET", "a", expires=expires, signature=signature, now=NOW)
    with pytest.raises(BadSignature):
        signing.verify(SECRET, "GET", "a", expires="9" * 5000, signature=signature, now=NOW)


def test_a_signature_has_one_spelling():
    signature = signing.sign(SECRET, "GET", "a", expires=NOW + 60)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # The last character holds two bits that a decoder drops.
    others = [signature[:-1] + c for c in alphabet if c != signature[-1]]
    others += [f"{signature}=", f" {signature}", f"{signature}\n", "", "é", "\ud800", signature.swapcase()]
    for other in others:
        with pytest.raises(BadSignature):
            signing.verify(SECRET, "GET", "a", expires=str(NOW + 60), signature=other, now=NOW)


def test_parameters_added_repeated_or_left_out():
    url = url_of(name="a.ply")
    signature = dict(parse_qsl(urlsplit(url).query))["signature"]
    bare = url.partition("?")[0]
    for changed in (
        f"{url}&extra=1",
        f"{url}&name=b.ply",
        f"{url}&name=a.ply",
        f"{url}&type=text/html",
        f"{url}&expires={NOW + 60}",
        f"{url}&signature={signature}",
        bare,
        f"{bare}?expires={NOW + 60}",
        f"{bare}?signature={signature}",
        f"{bare}?expires={NOW + 60}&signature={signature}",
        f"{bare}?expires={NOW + 60}&type=a.ply&signature={signature}",
        url.replace("a.ply", quote("a.ply\0")),
    ):
        with pytest.raises(BadSignature):
            opened(changed)


def test_the_order_of_parameters_is_free():
    pairs = parse_qsl(urlsplit(url_of(name="a", content_type="b")).query)
    assert signing.verify_query(SECRET, "GET", "jobs/1/outputs/1/scene.ply", reversed(pairs), now=NOW).name == "a"


@given(
    st.lists(
        st.tuples(any_text, any_text, st.none() | any_text, st.none() | any_text), min_size=2, max_size=2, unique=True
    )
)
def test_no_two_requests_share_a_signature(pair: list[tuple[str, str, str | None, str | None]]):
    one, two = (
        signing.sign(SECRET, method, key, expires=NOW, name=name, content_type=kind) for method, key, name, kind in pair
    )
    assert one != two or {pair[0][0], pair[1][0]} == {"GET", "HEAD"}


@given(any_text, any_text, any_text)
def test_nothing_a_client_sends_breaks_the_check(key: str, expires: str, signature: str):
    with pytest.raises(BadSignature):
        signing.verify_query(SECRET, "GET", key, [("expires", expires), ("signature", signature)])
