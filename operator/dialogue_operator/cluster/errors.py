"""What the API server may answer, as one small tree.

ApiError
├── NotFound        404: the object, or the API itself, is not there
├── Conflict        409: it changed since it was read
│   └── AlreadyExists
├── Forbidden       401, 403: RBAC, quota, admission
├── Invalid         400, 422: it does not fit the schema
└── Unavailable     no connection, no answer in time, 429, 5xx: worth another try, and all tries were used up
    └── NotLeading  a write of a process that no longer holds the Lease
"""


class ApiError(Exception):
    """A call that failed: which call, and the server's own sentence."""

    def __init__(self, call: str, status: int, message: str) -> None:
        super().__init__(f"{call}: {message} ({status})" if status else f"{call}: {message}")
        self.call, self.status, self.message = call, status, message


class NotFound(ApiError):
    pass


class Conflict(ApiError):
    pass


class AlreadyExists(Conflict):
    pass


class Forbidden(ApiError):
    pass


class Invalid(ApiError):
    pass


class Unavailable(ApiError):
    pass


class NotLeading(Unavailable):
    pass


RETRIED = frozenset({429, 500, 502, 503, 504})
_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid, 401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict, 422: Invalid
}  # fmt: skip


def api_error(call: str, status: int, reason: str, message: str) -> ApiError:
    """The error for one answer; `reason` is the word in the server's Status object."""
    if status in RETRIED:
        return Unavailable(call, status, message)
    kind = AlreadyExists if reason == "AlreadyExists" else _BY_STATUS.get(status, ApiError)
    return kind(call, status, message)
