"""Secrets of webhooks, and signatures by them.

    secret    = "whsec_" + base64url(HKDF-SHA256(service's signing secret, salt, info))
    signature = "t=<unix seconds>,v1=<hex HMAC-SHA256(secret, "<t>.<body>")>"

No secret is kept: it is made again from the service's own and the webhook's salt whenever it is needed. The salt carries a check of the
secret that came of it, so that a service whose own secret was changed, or is another's, knows that it can't sign.
"""

import base64
import hashlib
import hmac
import secrets

PREFIX = "whsec_"  # so that scanners for leaked secrets can know ours
_INFO = b"splatflow-webhook-1"  # keeps these secrets apart from any other use of the service's
_CHECK = b"splatflow-webhook-check-1"
_SALT_DIGITS, _CHECK_DIGITS = 32, 16


class SecretChanged(Exception):
    """The webhook's secret was made of another signing secret than this service's."""


def new_salt(service_secret: bytes) -> str:
    """A salt for a new secret; 48 hexadecimal digits."""
    salt = secrets.token_hex(_SALT_DIGITS // 2)
    return salt + _check(_derived(service_secret, salt))


def secret_of(service_secret: bytes, salt: str) -> str:
    """The secret of a salt.

    Raises:
        SecretChanged
    """
    salt, check = salt[:_SALT_DIGITS], salt[_SALT_DIGITS:]
    secret = _derived(service_secret, salt)
    if not hmac.compare_digest(_check(secret), check):
        raise SecretChanged
    return secret


def signature(secret: str, body: bytes, moment: int) -> str:
    """The header that proves who sent a body and when, `moment` in Unix seconds."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (moment, body), hashlib.sha256)
    return f"t={moment},v1={digest.hexdigest()}"


def _derived(service_secret: bytes, salt: str) -> str:
    """HKDF (RFC 5869) with SHA-256; one block of output is enough."""
    if not service_secret:
        raise ValueError("Of an empty secret none is made.")
    extracted = hmac.new(bytes.fromhex(salt), service_secret, hashlib.sha256).digest()
    expanded = hmac.new(extracted, _INFO + b"\x01", hashlib.sha256).digest()
    return PREFIX + base64.urlsafe_b64encode(expanded).decode().rstrip("=")


def _check(secret: str) -> str:
    return hmac.new(secret.encode(), _CHECK, hashlib.sha256).hexdigest()[:_CHECK_DIGITS]
