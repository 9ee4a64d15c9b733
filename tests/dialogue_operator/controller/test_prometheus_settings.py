"""Where Prometheus is, as the environment says it."""

from pathlib import Path

import pytest

from dialogue_operator.controller.settings import PREFIX, Settings

REQUIRED = {"GATEWAY_NAME": "g", "GATEWAY_NAMESPACE": "n", "DOMAIN": "d", "PREDICTOR_IMAGE": "i"}


def settings(**more: str) -> Settings:
    return Settings.from_environ({PREFIX + name: value for name, value in (REQUIRED | more).items()})


def test_there_is_none_unless_it_is_named() -> None:
    assert (settings().prometheus_url, settings().prometheus_token_file) == ("", None)
    assert settings(PROMETHEUS_URL="", PROMETHEUS_TOKEN_FILE="").prometheus_token_file is None


def test_a_url_may_have_a_port_and_a_path() -> None:
    found = settings(PROMETHEUS_URL="https://p.monitoring:9090/prefix/", PROMETHEUS_TOKEN_FILE="/run/token")
    assert (found.prometheus_url, found.prometheus_token_file) == (
        "https://p.monitoring:9090/prefix",
        Path("/run/token"),
    )


@pytest.mark.parametrize("url", ["p:9090", "ftp://p", "http://", "http://p/?x=1", "http://user:word@p", "http://p p"])
def test_what_is_no_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match=f"{PREFIX}PROMETHEUS_URL is .*; it must be like http://"):
        settings(PROMETHEUS_URL=url)
