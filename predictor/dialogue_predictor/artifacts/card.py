"""`card.md` of a bundle, from what its run recorded: nothing is claimed that the run did not write down."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dialogue_predictor.artifacts.config import Quantisation
from dialogue_predictor.model.config import ModelConfig

ABSENT: Final = "not measured"
STORED: Final = {"fp32": "single precision", "fp16": "half precision", "int8": "int8 with a scale for each output"}
CARD: Final = """# {name}

Version {version}. An encoder-decoder Transformer for dialogue: the history of a dialogue goes in, the assistant's next
reply comes out.

## Shape

{layers}, width {width}, {heads} heads, feed-forward {ffn}, vocabulary {vocabulary}, up to {positions} tokens of history;
{parameters:,} parameters, stored in {stored}, made to be computed in {compute}.

## Data

{data}

## Recipe

Stage: {stage}. Seed: {seed}. Made with: {made_with}.

```json
{options}
```

## Metrics

{metrics}
"""


def card_of(
    name: str,
    version: str,
    architecture: ModelConfig,
    quantisation: Quantisation,
    parameters: int,
    run: Mapping[str, Any],
    report: Mapping[str, Any],
) -> str:
    """The card in Markdown. `run` and `report`: what is in a run's run.json and report.json, empty where there is none."""
    options = run.get("options") if isinstance(run.get("options"), dict) else {}
    return CARD.format(
        name=name,
        version=version,
        layers=f"{architecture.encoder_layers} encoder and {architecture.decoder_layers} decoder layers",
        width=architecture.d_model,
        heads=architecture.heads,
        ffn=architecture.ffn,
        vocabulary=architecture.vocab_size,
        positions=architecture.max_positions,
        parameters=parameters,
        stored=STORED[quantisation.weights],
        compute=quantisation.compute,
        data=data_table(report.get("data") or run.get("data")),
        options=json.dumps(options, ensure_ascii=False) if options else "not recorded",
        stage=run.get("stage") or "not recorded",
        seed=options.get("seed", "not recorded") if options else "not recorded",
        made_with=run.get("version") or "not recorded",
        metrics=metrics_table(report),
    )


def data_table(data: Any) -> str:
    """A line for each corpus that the run names; `data` is a list of objects with `name` and `licence`."""
    corpora = [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    if not corpora:
        return "Not recorded by the run: ask who trained it for corpora and licences before you pass these weights on."
    rows = [
        f"| {one.get('name', '?')} | {listed(one.get('languages'))} | {one.get('origin', '–')} | "
        f"{one.get('licence', 'not recorded')} |"
        for one in corpora
    ]
    return "\n".join(("| corpus | languages | origin | licence |", "| --- | --- | --- | --- |", *rows))


def metrics_table(report: Mapping[str, Any]) -> str:
    rows = [f"| {path} | {value:.4g} |" for path, value in numbers(report)]
    return "\n".join(("| metric | value |", "| --- | --- |", *(rows or [f"| {ABSENT} | – |"])))


def numbers(values: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, float]]:
    """Every number of nested objects with its path, in their order; curves and other lists are left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{under}{name} ")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{under}{name}", value


def listed(values: Any) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list | tuple) else str(values or "–")
