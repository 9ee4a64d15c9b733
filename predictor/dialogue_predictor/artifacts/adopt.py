"""A Hugging Face checkpoint as a bundle: it replies as under transformers, token for token, with the same search options.

With the weights and the tokenizer goes what `generate` would do by itself: what stands around the text, the forced ids
and the words that are never said. How it searches (beams, lengths) is the manifest's to say; the card quotes it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from dialogue_predictor.artifacts.bundle import TOKENIZER, Bundle
from dialogue_predictor.artifacts.config import Quantisation, WeightFormat
from dialogue_predictor.artifacts.publish import write_bundle
from dialogue_predictor.artifacts.safety import check_folder
from dialogue_predictor.artifacts.weights import save_weights
from dialogue_predictor.errors import BundleInvalid
from dialogue_predictor.model.config import ModelConfig
from dialogue_predictor.model.families.loading import GENERATION, SETTINGS, load_hugging_face, read_object
from dialogue_predictor.text.style import PlainText
from dialogue_predictor.text.tokenizer import Tokenizer

TOKENIZER_SETTINGS: Final = "tokenizer_config.json"
README: Final = "README.md"
SEPARATORS: Final = {
    "blenderbot": "  ",
    "blenderbot-small": "  ",
}  # what ParlAI trained them with; others read one turn
SEARCH: Final = (
    "num_beams", "max_length", "max_new_tokens", "min_length", "min_new_tokens", "length_penalty",
    "no_repeat_ngram_size", "early_stopping", "repetition_penalty",
)  # fmt: skip
NOT_APPLIED: Final = ("encoder_no_repeat_ngram_size", "suppress_tokens", "begin_suppress_tokens", "sequence_bias")
LANGUAGE: Final = re.compile("[a-z]{2,3}_[A-Za-z]{2,4}")  # en_XX, eng_Latn
CARD: Final = """# {name}

Version {version}. Imported from a Hugging Face checkpoint of the family {family}; trained elsewhere.

Licence of the checkpoint: {licence}. Its data, recipe and metrics: see where it came from; nothing was measured here.

## Shape

{layers}, width {width}, {heads} heads, vocabulary {vocabulary}, up to {positions} tokens; {parameters:,} parameters.

## Search

As its authors set it, to be said in a manifest's `spec.generation`: {search}.

Not applied here: {not_applied}.
"""


def adopt(
    folder: Path,
    destination: Path,
    name: str,
    version: str,
    weights: WeightFormat = "fp32",
    source_language: str | None = None,
    target_language: str | None = None,
) -> Bundle:
    """Write the checkpoint's bundle to the new folder `destination`.

    `source_language` and `target_language`: codes of a multilingual tokenizer (`en_XX`), instead of those it is set to.
    Raises BundleInvalid that names the file and the setting, tensor or token.
    """
    check_folder(folder)
    try:
        model = load_hugging_face(folder)
        settings = generate_settings(folder, model.config)
    except ValueError as error:
        raise BundleInvalid(" ".join(str(error).split())) from error
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / TOKENIZER
        tokenizer = adopt_tokenizer(folder, model.config, path)
        text = text_of(folder, settings, tokenizer, source_language, target_language)
        card = card_of(folder, name, version, model.config, settings, sum(one.numel() for one in model.parameters()))
        return write_bundle(
            destination, name, version, model.config, path, lambda to: save_weights(model.state_dict(), to, weights),
            card, Quantisation(weights), text,
        )  # fmt: skip


def generate_settings(folder: Path, config: ModelConfig) -> dict[str, Any]:
    """What `generate` would go by: config.json, and generation_config.json in its place where there is one."""
    settings = read_object(folder / SETTINGS)
    if (folder / GENERATION).is_file():
        return {"model_type": settings["model_type"]} | read_object(folder / GENERATION)
    return {"forced_eos_token_id": config.eos_id} | settings  # every family forces the end unless it says otherwise


def adopt_tokenizer(folder: Path, config: ModelConfig, path: Path) -> Tokenizer:
    """Copy the tokenizer, with the ids that the model gives a meaning to made special: they are no text."""
    if not (folder / TOKENIZER).is_file():
        raise BundleInvalid(
            f"{folder}: {TOKENIZER} is missing; only tokenizers of the tokenizers library are supported, "
            "convert others (sentencepiece models, vocab.json with merges.txt) with transformers first"
        )
    try:
        tokenizer = Tokenizer.load_any(folder / TOKENIZER)
        tokenizer.make_special({config.pad_id, config.bos_id, config.eos_id, config.decoder_start_id})
        tokenizer.save(path)
        tokenizer = Tokenizer.load_any(path)
    except ValueError as error:
        raise BundleInvalid(f"{folder / TOKENIZER}: {error}") from error
    if tokenizer.vocab_size > config.vocab_size:
        raise BundleInvalid(f"{folder / TOKENIZER}: has {tokenizer.vocab_size} tokens, the model {config.vocab_size}")
    return tokenizer


def text_of(
    folder: Path, settings: Mapping[str, Any], tokenizer: Tokenizer, source: str | None, target: str | None
) -> PlainText:
    """How the checkpoint reads and what it must say, in the terms of a bundle."""
    said = read_object(folder / TOKENIZER_SETTINGS) if (folder / TOKENIZER_SETTINGS).is_file() else {}
    prefix, suffix = tokenizer.around()
    values = {
        "prefix": prefix,
        "suffix": suffix,
        "turn_separator": SEPARATORS.get(settings["model_type"]),
        "forced_bos_id": settings.get("forced_bos_token_id"),
        "forced_eos_id": settings.get("forced_eos_token_id"),
        "bad_words": settings.get("bad_words_ids") or [],
    }
    try:
        text = PlainText.from_dict(values)
    except ValueError as error:
        raise BundleInvalid(
            f"{folder}: {error}; only one id is supported where `generate` may force several"
        ) from error
    if source is not None:
        text = reading(text, source, tokenizer)
    elif isinstance(usual := said.get("src_lang"), str) and languages(text, tokenizer):
        text = reading(text, usual, tokenizer)
    return text if target is None else replace(text, forced_bos_id=language_id(target, tokenizer))


def reading(text: PlainText, language: str, tokenizer: Tokenizer) -> PlainText:
    """`text` with the language's code in the place of the one that the tokenizer's template has."""
    code, present = language_id(language, tokenizer), languages(text, tokenizer)
    if not present:
        raise BundleInvalid(f"language {language}: the tokenizer writes no language code around a text; leave it out")

    def changed(ids: Sequence[int]) -> tuple[int, ...]:
        return tuple(code if token in present else token for token in ids)

    return replace(text, prefix=changed(text.prefix), suffix=changed(text.suffix))


def languages(text: PlainText, tokenizer: Tokenizer) -> frozenset[int]:
    return frozenset(token for token in (*text.prefix, *text.suffix) if LANGUAGE.fullmatch(tokenizer.word(token)))


def language_id(language: str, tokenizer: Tokenizer) -> int:
    try:
        return tokenizer.special_id(language)
    except KeyError:
        raise BundleInvalid(
            f"language {language}: the tokenizer has no such token; write it as it does (en_XX)"
        ) from None


def card_of(
    folder: Path, name: str, version: str, config: ModelConfig, settings: Mapping[str, Any], parameters: int
) -> str:
    return CARD.format(
        name=name,
        version=version,
        family=settings["model_type"],
        licence=licence(folder / README) or "not recorded",
        layers=f"{config.encoder_layers} encoder and {config.decoder_layers} decoder layers",
        width=config.d_model,
        heads=config.heads,
        vocabulary=config.vocab_size,
        positions=config.max_positions,
        parameters=parameters,
        search=listed(settings, SEARCH),
        not_applied=listed(settings, NOT_APPLIED),
    )


def listed(settings: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {settings[name]}" for name in names if settings.get(name)) or "nothing"


def licence(readme: Path) -> str | None:
    """What the front matter of a model's README says."""
    parts = readme.read_text(encoding="utf-8", errors="replace").split("---\n", 2) if readme.is_file() else []
    try:
        said = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except yaml.YAMLError:
        return None
    return str(said["license"]) if isinstance(said, dict) and "license" in said else None
