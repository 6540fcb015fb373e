"""The one error that routes raise, and its answer.

    {"error": "<one sentence>", "code": "<stable slug>"[, "field": "<name>"]}

Answers of submit-job carry `"success": false` and `"error_message"` besides, since clients in the field read those.
"""

from collections.abc import Mapping

from starlette.datastructures import Headers

from api.json_response import JsonResponse

SUBMIT_PATH = "/api/v1/submit-job/"
RETRY_AFTER_SECONDS = 5


class ApiError(Exception):
    """A refusal.

    Attributes:
        status: of HTTP.
        code: stable, for programs.
        message: one sentence for people.
        field: which field of the request it is about.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field
        self.headers = dict(headers or {})


def invalid_key() -> ApiError:
    return ApiError(401, "invalid_api_key", "Invalid API key", headers={"WWW-Authenticate": "Api-Key"})


def forbidden() -> ApiError:
    return ApiError(403, "forbidden", "Insufficient permissions")


def job_missing() -> ApiError:
    return ApiError(404, "job_not_found", "Job not found")


def not_found() -> ApiError:
    return ApiError(404, "not_found", "Not found")


def rate_limited(headers: Mapping[str, str]) -> ApiError:
    return ApiError(429, "rate_limited", "Rate limit exceeded", headers=headers)


def bad_value(message: str, field: str | None = None) -> ApiError:
    return ApiError(400, "bad_value", message, field=field)


def bad_json(message: str) -> ApiError:
    return ApiError(400, "bad_json", message, field="body")


def body_too_large(limit: int) -> ApiError:
    return ApiError(413, "body_too_large", f"The body is larger than the {limit} bytes that are accepted.")


def internal(*, passing: bool = False) -> ApiError:
    """The cause is in the log; `passing` when the same request may succeed soon."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if passing else None
    return ApiError(500, "internal", "Internal server error", headers=headers)


def answer(error: ApiError, path: str) -> JsonResponse:
    """The answer to a request of this path."""
    body: dict[str, object] = {"error": error.message, "code": error.code}
    if error.field is not None:
        body["field"] = error.field
    if path == SUBMIT_PATH:
        body |= {"success": False, "error_message": error.message}
    return JsonResponse(body, status_code=error.status, headers=Headers(error.headers))
