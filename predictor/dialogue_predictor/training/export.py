"""From a run to a bundle: the averaged weights of its checkpoint, its tokenizer, and a card that says what it is."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from dialogue_predictor.artifacts.bundle import Bundle
from dialogue_predictor.artifacts.publish import write_bundle
from dialogue_predictor.artifacts.weights import save_weights
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.training.checkpoint import AVERAGE, PROGRESS, STATE, under
from dialogue_predictor.training.corpora import CORPORA
from dialogue_predictor.training.finetune import CHECKPOINT, REPORT, RUN, TOKENIZER

LANGUAGES = {"en": "English", "zh": "Chinese"}

CARD = """# {name}

A small encoder-decoder Transformer for dialogue in English and Chinese: the history of a dialogue goes in, the
assistant's next reply comes out. It exists so that a first `serve` answers sensibly on a laptop within seconds.

## Use and limits

It was trained on task dialogues (restaurants, hotels, flights, films, sights) and some small talk, and is small: it can
stray from the topic. It has no database: the names, prices, addresses and telephone numbers in its replies are invented.
It can repeat biases of its corpora. Do not rely on it for facts. It reads up to {positions} tokens of history and was
trained on replies of up to 48 tokens.

## Shape

{layers} layers, width {width}, {heads} heads, feed-forward {ffn}, vocabulary {vocabulary} (byte-level BPE, digits apart),
{parameters} parameters, stored in half precision.

## Data

| corpus | languages | origin | licence |
| --- | --- | --- | --- |
{corpora}

CrossWOZ's templates were filled from its database for more Chinese dialogues, and a few dozen greetings, thanks and
farewells are the project's own (Apache-2.0). As the Schema-Guided Dialogue data is CC BY-SA 4.0, so are these weights.
Validation dialogues were never trained on: the corpus's own development split for Schema-Guided Dialogue, one fifth of
KdConv and CrossWOZ by dialogue, one twentieth of the small talk.

## Training

```
{command}
```

{steps} updates in {minutes} minutes on a CPU: sequence-to-sequence cross entropy with label smoothing {smoothing}{bag},
AdamW with decoupled decay, linear warm-up and cosine decay, gradient clipping, bf16 autocast; the weights are a moving
average.

## Metrics

Perplexity a token on validation dialogues, fp32, whole history budget:

| part | perplexity |
| --- | --- |
{metrics}
"""


def export(run: Path, destination: Path, name: str, version: str) -> Bundle:
    """Write the bundle of a run, finished or not. Raises FileNotFoundError when the run has no checkpoint yet."""
    record = json.loads((run / CHECKPOINT / PROGRESS).read_text(encoding="utf-8"))
    state = under(load_file(run / CHECKPOINT / STATE), AVERAGE)
    architecture = ModelConfig.from_dict(record["facts"]["model"])
    parameters = sum(value.numel() for value in state.values())
    report = run / REPORT
    measured = json.loads(report.read_text(encoding="utf-8"))["perplexity"] if report.exists() else {}
    options = json.loads((run / RUN).read_text(encoding="utf-8"))
    card = card_of(name, architecture, parameters, record | {"options": options}, measured)
    return write_bundle(
        destination, name, version, architecture, run / TOKENIZER, lambda path: save_weights(state, path), card
    )


def card_of(
    name: str, architecture: ModelConfig, parameters: int, record: dict[str, Any], measured: dict[str, float]
) -> str:
    """The model card in Markdown; metrics that were not measured are said to be so."""
    facts = record["facts"]
    minutes = round(record["seconds"] / 60)
    weight = record["options"].get("bag_weight", 0.0)
    corpora = [
        f"| {one.title} | {', '.join(LANGUAGES[language] for language in one.languages)} | {one.origin} | {one.licence} |"
        for one in CORPORA
    ]
    metrics = [f"| {LANGUAGES.get(part, part)} | {value:.2f} |" for part, value in sorted(measured.items())]
    command = (
        f"dialogue train finetune --data DATA --out RUN --max-minutes {minutes} "
        f"--batch-tokens {facts['batch_tokens']} --learning-rate {record['options']['schedule']['peak_rate']} "
        f"--bag-weight {weight} --seed {facts['seed']}\n"
        "dialogue train export --run RUN --out BUNDLE"
    )
    return CARD.format(
        name=name,
        positions=architecture.max_positions,
        layers=f"{architecture.encoder_layers} encoder and {architecture.decoder_layers} decoder",
        width=architecture.d_model,
        heads=architecture.heads,
        ffn=architecture.ffn,
        vocabulary=architecture.vocab_size,
        parameters=f"{parameters:,}",
        corpora="\n".join(corpora),
        command=command,
        steps=f"{record['step']:,}",
        minutes=minutes,
        smoothing=record["options"]["smoothing"],
        bag=f" and a bag-of-words loss of weight {weight}" if weight else "",
        metrics="\n".join(metrics) or "| not measured | – |",
    )
