"""The command tree."""

import typer

from dialogue_predictor.cli import bench, bundle, compress, data, evaluate, train
from dialogue_predictor.cli.chat import chat
from dialogue_predictor.cli.classify import classify
from dialogue_predictor.cli.default import ablation, default
from dialogue_predictor.cli.serve import serve

app = typer.Typer(
    help="Serve dialogue models, talk to them, train them, pack them.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.command()(serve)
app.command()(chat)
train.app.command()(classify)
train.app.command()(default)
train.app.command()(ablation)
app.add_typer(data.app, name="data")
app.add_typer(train.app, name="train")
app.add_typer(compress.app, name="compress")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(bundle.app, name="bundle")
app.add_typer(bench.app, name="bench")
