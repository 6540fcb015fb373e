"""What is noted about a request while it is answered: its id, headers for the answer, and what the log line tells."""

from dataclasses import dataclass, field

from starlette.types import Scope

SCOPE_KEY = "splatflow.trace"


@dataclass(slots=True)
class Trace:
    """Of one request.

    Attributes:
        request_id: what the answer's X-Request-ID and the log say.
        head: it came as HEAD and is answered like GET, without the body.
        headers: to be added to the answer.
        key_id: of the API key, once it is known to be good.
    """

    request_id: str
    head: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    key_id: str = "-"


def trace_of(scope: Scope) -> Trace:
    """The trace of the request; a loose one outside of the envelope."""
    trace = scope.get(SCOPE_KEY)
    if trace is None:
        trace = scope[SCOPE_KEY] = Trace(request_id="-")
    return trace
