"""Times as the API writes them."""

from datetime import datetime


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: due times must not drift by rounding."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
