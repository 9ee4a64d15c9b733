"""Durations and quantities mean here what they mean to Kubernetes."""

from datetime import timedelta
from decimal import Decimal

import pytest

from dialogue_operator.api.values import parse_duration, parse_quantity


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("500ms", 0.5), ("90s", 90), ("1h30m", 5400), ("24h", 86400), ("1m1ms", 60.001)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", "1"),
        ("100m", "0.1"),
        ("1.5", "1.5"),
        ("2Gi", "2147483648"),
        ("1.5Gi", "1610612736"),
        ("3k", "3000"),
        ("1T", "1e12"),
    ],
)
def test_quantities(text: str, amount: str) -> None:
    assert parse_quantity(text) == Decimal(amount)
