"""Who may do what: checked at every request, so that a revoked key ends at once.

The order is that of the contract: 401, 403, 429, then everything else.
"""

from starlette.requests import Request

from api import errors
from api.limits import READ
from api.service import service_of
from api.trace import trace_of
from storage.accounts import Principal, authenticate

SCHEME = "api-key"
PLAN = "enterprise"


async def require(request: Request, route_class: str) -> Principal:
    """The principal of a request that may be done, counted against its limit.

    Args:
        route_class: "read", or "write" or "submit" for what changes something.

    Raises:
        ApiError: 401 no good key; 403 no plan or scope for it; 429 too many.
    """
    service, trace = service_of(request), trace_of(request.scope)
    secret = secret_of(request)
    principal = await service.look(lambda: authenticate(service.database, secret)) if secret else None
    if principal is None:
        service.limiter.count_failure(request.client.host if request.client else "")
        raise errors.invalid_key()
    trace.key_id = str(principal.key_id)
    if principal.plan != PLAN or (route_class != READ and principal.scope != "write"):
        raise errors.forbidden()
    trace.headers.update(service.limiter.count(principal, route_class))
    return principal


def secret_of(request: Request) -> str:
    """The key in the Authorization header; empty when there is none."""
    scheme, _, secret = request.headers.get("authorization", "").strip().partition(" ")
    return secret.strip() if scheme.lower() == SCHEME else ""
