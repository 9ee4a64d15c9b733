"""Who asks, as far as the queue must know: headers over HTTP, metadata over gRPC."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dialogue_predictor import names
from dialogue_predictor.errors import InvalidRequest

TENANT = re.compile(r"[A-Za-z0-9._:@-]{1,64}")
PRIORITY = re.compile(r"-?[0-9]{1,2}")
GREATEST_PRIORITY = 10


@dataclass(frozen=True, slots=True)
class Caller:
    """Of the requests that wait a greater priority goes first; within one, tenants take turns."""

    tenant: str = ""
    priority: int = 0


UNNAMED = Caller()


def read_caller(headers: Mapping[str, str]) -> Caller:
    """Without the headers: the tenant of all who name none, at priority 0."""
    tenant = headers.get(names.HEADER_TENANT, "")
    if tenant and not TENANT.fullmatch(tenant):
        raise InvalidRequest(names.HEADER_TENANT, "must be 1 to 64 letters, digits, dots, colons, @, - or _")
    text = headers.get(names.HEADER_PRIORITY, "0")
    if not PRIORITY.fullmatch(text) or abs(int(text)) > GREATEST_PRIORITY:
        limits = f"from {-GREATEST_PRIORITY} to {GREATEST_PRIORITY}"
        raise InvalidRequest(names.HEADER_PRIORITY, f"must be an integer {limits}; a greater one goes first")
    return Caller(tenant, int(text))
