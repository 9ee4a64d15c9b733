"""What can go wrong before and while a model answers.

A small tree, mapped once at each edge (HTTP, gRPC, the termination log); `reason` is a stable word that
the operator copies into a condition, `message` says what to do about it.

    DialogueError
    ├── BundleNotFound   the bundle's folder is not there
    ├── DigestMismatch   the bundle's bytes are not the ones asked for
    ├── BundleInvalid    a file of the bundle is missing, unknown or malformed
    ├── SpecInvalid      the manifest's serving part does not validate
    ├── LoadFailed       the weights do not fit the architecture, or the machine cannot hold them
    └── RequestError     one request was not answered
        ├── InvalidRequest    the client's mistake, with the field and the fix
        ├── ModelNotFound     there is no such model here
        ├── NotReady          loading, or draining
        ├── Overloaded        the queue is full; try again after `retry_after` seconds
        ├── DeadlineExceeded  the answer would have come too late
        └── BackendFailed     decoding broke; the details are in the log
"""

from dialogue_predictor import names


class DialogueError(Exception):
    """An error with a stable `reason` and a `message` for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class BundleNotFound(DialogueError):
    def __init__(self, message: str) -> None:
        super().__init__(names.REASON_BUNDLE_NOT_FOUND, message)


class DigestMismatch(DialogueError):
    def __init__(self, expected: str, got: str, where: str) -> None:
        super().__init__(names.REASON_DIGEST_MISMATCH, f"{where}: expected {expected}, got {got}")
        self.expected = expected
        self.got = got


class BundleInvalid(DialogueError):
    def __init__(self, message: str) -> None:
        super().__init__(names.REASON_BUNDLE_INVALID, message)


class SpecInvalid(DialogueError):
    def __init__(self, message: str) -> None:
        super().__init__(names.REASON_SPEC_INVALID, message)


class LoadFailed(DialogueError):
    def __init__(self, message: str) -> None:
        super().__init__(names.REASON_LOAD_FAILED, message)


class RequestError(DialogueError):
    """One request was not answered; the next one may be."""


class InvalidRequest(RequestError):
    """`field` is a path into the request (`messages[0].content`); the message never repeats its value."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__("InvalidRequest", f"{field}: {message}" if field else message)
        self.field = field


class ModelNotFound(RequestError):
    def __init__(self, served: str) -> None:
        super().__init__("ModelNotFound", f"there is no such model here; this server has {served!r}")


class NotReady(RequestError):
    def __init__(self, message: str = "the model is not ready") -> None:
        super().__init__("NotReady", message)


class Overloaded(RequestError):
    def __init__(self, retry_after: int = 1) -> None:
        super().__init__("Overloaded", f"too many requests at once; try again in {retry_after} s")
        self.retry_after = retry_after


class DeadlineExceeded(RequestError):
    def __init__(self) -> None:
        super().__init__("DeadlineExceeded", "the reply was not ready in time")


class BackendFailed(RequestError):
    def __init__(self) -> None:
        super().__init__("BackendFailed", "the reply could not be generated")
