"""The commands. Mistakes in what was typed end with exit code 2 and one line each that names the field."""

import json
from enum import StrEnum
from typing import Annotated

import typer
import yaml

from dialogue_operator import __version__
from dialogue_operator.api.base import Json
from dialogue_operator.api.crd import crd as dialogue_model_crd
from dialogue_operator.cli.caveats import caveats
from dialogue_operator.cli.first_plan import first_objects
from dialogue_operator.cli.forecast import forecast
from dialogue_operator.cli.forecast_text import as_json, as_table
from dialogue_operator.cli.manifests import NotUsable, read_models
from dialogue_operator.cli.reference import reference
from dialogue_operator.render.routes import GatewayRef

USAGE_ERROR = 2

app = typer.Typer(
    help="Serves DialogueModels on Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Format(StrEnum):
    yaml = "yaml"
    markdown = "markdown"


class PlanFormat(StrEnum):
    table = "table"
    json = "json"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Serves DialogueModels on Kubernetes."""


@app.command()
def run() -> None:
    """Run the operator; it is told everything by DIALOGUE_OPERATOR_* variables, which the chart sets.

    Example: DIALOGUE_OPERATOR_GATEWAY_NAME=dialogue DIALOGUE_OPERATOR_GATEWAY_NAMESPACE=kserve
    DIALOGUE_OPERATOR_DOMAIN=example.com DIALOGUE_OPERATOR_PREDICTOR_IMAGE=dialogue-serving/predictor:0.1.0
    dialogue-operator run
    """
    from dialogue_operator.controller.run import run as run_operator
    from dialogue_operator.controller.settings import Settings

    try:
        settings = Settings.from_environ()
    except ValueError as error:
        raise _refused([str(error)]) from None
    raise typer.Exit(run_operator(settings))


@app.command()
def render(
    file: Annotated[str, typer.Argument(help="A manifest with DialogueModels; - reads standard input.")],
    gateway: Annotated[str, typer.Option(help="NAMESPACE/NAME of the Gateway.")] = "kserve/dialogue",
    domain: Annotated[str, typer.Option(help="The domain below which models get hosts.")] = "example.com",
    image: Annotated[str, typer.Option(help="The predictor image.")] = f"dialogue-serving/predictor:{__version__}",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Where a manifest names none.")] = "default",
) -> None:
    """Print what the operator would apply for new DialogueModels. Needs no cluster.

    Example: dialogue-operator render manifests/samples/quickstart.yaml
    """
    gateway_namespace, _, gateway_name = gateway.partition("/")
    if not gateway_namespace or not gateway_name or "/" in gateway_name:
        raise _refused([f"--gateway: {gateway!r} is not NAMESPACE/NAME"])
    try:
        models = read_models(file, namespace)
    except NotUsable as error:
        raise _refused(error.problems) from None
    ref = GatewayRef(gateway_name, gateway_namespace, domain)
    typer.echo("---\n".join(_to_yaml(one) for model in models for one in first_objects(model, ref, image)), nl=False)


@app.command()
def plan(
    file: Annotated[str, typer.Argument(help="A manifest with DialogueModels; - reads standard input.")],
    current: Annotated[
        str | None, typer.Option(help="What is applied now, such as `kubectl get dm NAME -o yaml` prints it.")
    ] = None,
    output: Annotated[PlanFormat, typer.Option("--output", "-o", help="A table, or JSON.")] = PlanFormat.table,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Where a manifest names none.")] = "default",
) -> None:
    """Print what applying a manifest would do: steps, gates, pods and time. Needs no cluster.

    Example: dialogue-operator plan manifests/samples/canary.yaml --current manifests/samples/quickstart.yaml
    """
    try:
        models = read_models(file, namespace)
        applied = read_models(current, namespace, recorded=True) if current else []
    except NotUsable as error:
        raise _refused(error.problems) from None
    before = {(model.namespace, model.name): model for model in applied}
    found = []
    for model in models:
        now = before.get((model.namespace, model.name))
        found.append(forecast(model, now, first=current is not None and now is None))
    if output is PlanFormat.json:
        typer.echo(json.dumps([as_json(one, [*caveats(one.model.spec)]) for one in found], indent=2))
    else:
        typer.echo("\n".join(as_table(one, [*caveats(one.model.spec)]) for one in found), nl=False)


@app.command()
def crd(
    output: Annotated[Format, typer.Option("--output", "-o", help="YAML to apply, or the reference for people.")] = (
        Format.yaml
    ),
) -> None:
    """Print the CustomResourceDefinition.

    Example: dialogue-operator crd | kubectl apply --server-side -f -
    """
    typer.echo(_to_yaml(dialogue_model_crd()) if output is Format.yaml else reference(dialogue_model_crd()), nl=False)


class _Plain(yaml.SafeDumper):
    """Without anchors: what is said twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _to_yaml(value: Json) -> str:
    return yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


def _refused(problems: list[str]) -> typer.Exit:
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    return typer.Exit(USAGE_ERROR)
