"""`python -m dialogue_predictor.cli`, where the `dialogue` script is not installed."""

from dialogue_predictor.cli.app import app

app(prog_name="dialogue")
