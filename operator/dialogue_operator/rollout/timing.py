"""Times and durations as the API writes them."""

import re
from datetime import datetime, timedelta

_PART = re.compile(r"([0-9]+)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> timedelta:
    """`1h30m`, `10s`, `500ms`. The schema has refused everything else."""
    return timedelta(seconds=sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(text)))


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: due times must not drift by rounding."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
