"""Checkpoints as Hugging Face saves them become our model, to the last digit, or are refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.model.families.loading import load_hugging_face
from dialogue_predictor.model.families.shapes import FAMILIES
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer

VOCABULARY = 60
LENGTHS = (9, 5, 1)
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
    "scale_embedding": True,
    "forced_eos_token_id": None,
    "init_std": 0.24,
}
HUGGING_FACE: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "bart": (transformers.BartConfig, transformers.BartForConditionalGeneration, {}),
    "mbart": (transformers.MBartConfig, transformers.MBartForConditionalGeneration, {"decoder_start_token_id": 2}),
    "marian": (
        transformers.MarianConfig,
        transformers.MarianMTModel,
        {"pad_token_id": 59, "decoder_start_token_id": 59, "activation_function": "swish"},
    ),
    "pegasus": (
        transformers.PegasusConfig,
        transformers.PegasusForConditionalGeneration,
        {"activation_function": "relu"},
    ),
    "blenderbot": (transformers.BlenderbotConfig, transformers.BlenderbotForConditionalGeneration, {}),
    "blenderbot-small": (
        transformers.BlenderbotSmallConfig,
        transformers.BlenderbotSmallForConditionalGeneration,
        {},
    ),
}
families = pytest.mark.parametrize("family", FAMILIES)


@torch.no_grad()
def original(family: str, **changes: Any) -> Any:
    """A random model in fp32 in which no norm and no bias is the identity."""
    make_config, make_model, own = HUGGING_FACE[family]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = make_model(make_config(**(SIZES | own | changes))).eval()
        for module in model.modules():
            if isinstance(module, nn.LayerNorm | nn.Linear) and module.bias is not None:
                module.bias.normal_(std=0.2)
            if isinstance(module, nn.LayerNorm):
                module.weight.normal_(mean=1, std=0.2)
        model.final_logits_bias.normal_(std=0.3)
    model.final_logits_bias[0, model.config.eos_token_id] = 0.5
    if family == "blenderbot-small":  # transformers 5 forgets to scale the decoder's embedding, 4 and ParlAI do it
        decoder = model.model.decoder
        decoder.embed_tokens.register_forward_hook(lambda _module, _tokens, embedded: embedded * decoder.embed_scale)
    return model


def saved(family: str, folder: Path, **changes: Any) -> Path:
    original(family, **changes).save_pretrained(folder)
    return folder


def batch(vocabulary: int = VOCABULARY) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    source = torch.randint(3, vocabulary - 1, (3, 9), generator=generator)
    target = torch.randint(3, vocabulary - 1, (3, 7), generator=generator)
    return source, torch.arange(9) < torch.tensor(LENGTHS)[:, None], target


def assert_alike(reference: Any, model: DialogueTransformer) -> None:
    source, mask, target = batch()
    with torch.no_grad():
        expected = reference.double()(input_ids=source, attention_mask=mask.long(), decoder_input_ids=target).logits
        torch.testing.assert_close(model.double()(source, mask, target), expected, rtol=0, atol=1e-9)


@families
def test_logits_are_the_originals(family: str, tmp_path: Path) -> None:
    reference = original(family)
    reference.save_pretrained(tmp_path)
    model = load_hugging_face(tmp_path)
    assert_alike(reference, model)
    named = {"pad_token_id": "pad_id", "eos_token_id": "eos_id", "decoder_start_token_id": "decoder_start_id"}
    for theirs, ours in named.items():
        assert getattr(model.config, ours) == getattr(reference.config, theirs)
    assert model.config.max_positions == 40


@families
@pytest.mark.parametrize("beams", [1, 4])
def test_replies_are_the_originals(family: str, beams: int, tmp_path: Path) -> None:
    reference = original(family)
    reference.save_pretrained(tmp_path)
    reference.double()
    model = load_hugging_face(tmp_path).double()
    source, mask, _ = batch()
    said = reference.generate(
        input_ids=source, attention_mask=mask.long(), do_sample=False, num_beams=beams, num_return_sequences=beams,
        max_new_tokens=20, no_repeat_ngram_size=3, early_stopping=False, length_penalty=1.0,
        return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    ids = TokenIds(start=model.config.decoder_start_id, eos=model.config.eos_id, pad=model.config.pad_id)
    options = GenerationOptions(num_beams=beams, max_new_tokens=20, no_repeat_ngram=3)
    sources = [row[:length].tolist() for row, length in zip(source, LENGTHS, strict=True)]
    ours = [
        hypothesis for outcome in decode(IncrementalModel(model), sources, options, ids)
        for hypothesis in outcome.hypotheses
    ]  # fmt: skip
    assert len({hypothesis.tokens for hypothesis in ours}) > beams
    for row, hypothesis in zip(said.sequences.tolist(), ours, strict=True):
        ended = [*hypothesis.tokens, *[ids.eos] * hypothesis.complete]
        assert row[1 : 1 + len(ended)] == ended
        assert set(row[1 + len(ended) :]) <= {ids.pad, ids.eos}  # it pads with the end where padding is token 0
    if beams > 1:
        scores = torch.tensor([hypothesis.score for hypothesis in ours])
        torch.testing.assert_close(scores, said.sequences_scores.float())


@families
@pytest.mark.parametrize(("activation", "scaled"), [("gelu", False), ("relu", True), ("silu", False), ("swish", True)])
def test_settings_that_vary_within_a_family(family: str, activation: str, scaled: bool, tmp_path: Path) -> None:
    reference = original(family, activation_function=activation, scale_embedding=scaled)
    reference.save_pretrained(tmp_path)
    assert_alike(reference, load_hugging_face(tmp_path))


def test_the_ids_that_generate_takes_from_its_own_file(tmp_path: Path) -> None:
    saved("mbart", tmp_path, decoder_start_token_id=None)
    path = tmp_path / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decoder_start_token_id": 17, "eos_token_id": [4]}))
    config = load_hugging_face(tmp_path).config
    assert (config.decoder_start_id, config.eos_id) == (17, 4)
    path.unlink()
    assert load_hugging_face(tmp_path).config.decoder_start_id == config.bos_id


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = folder / "model.safetensors"
    save_file({name: value.contiguous() for name, value in change(load_file(path)).items()}, path)


def without(tensor: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {name: value for name, value in state.items() if name != tensor}


def test_a_bare_models_checkpoint_without_prefix_or_bias_loads(tmp_path: Path) -> None:
    reference = original("bart")
    reference.model.save_pretrained(tmp_path)
    assert "shared.weight" in load_file(tmp_path / "model.safetensors")
    reference.final_logits_bias.zero_()
    assert_alike(reference, load_hugging_face(tmp_path))


def test_an_old_marian_checkpoint_with_its_sines_and_versions_loads(tmp_path: Path) -> None:
    reference = original("marian")
    reference.save_pretrained(tmp_path)
    sines = reference.model.encoder.embed_positions.weight.detach()
    extra = {f"model.{side}.embed_positions.weight": sines.clone() for side in ("encoder", "decoder")}
    rewrite(tmp_path, lambda state: state | extra | {"model.encoder.version": torch.tensor([3.0])})
    assert_alike(reference, load_hugging_face(tmp_path))


def test_half_precision_is_read_as_fp32(tmp_path: Path) -> None:
    original("bart").half().save_pretrained(tmp_path)
    assert {value.dtype for value in load_hugging_face(tmp_path).state_dict().values()} == {torch.float32}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_type": "t5"}, "model_type must be one of bart, mbart"),
        ({"model_type": None}, "model_type"),
        ({"model_type": ["bart"]}, "model_type"),
        ({"decoder_attention_heads": 8}, "encoder_attention_heads and decoder_attention_heads must be equal"),
        ({"decoder_ffn_dim": 96}, "encoder_ffn_dim and decoder_ffn_dim must be equal"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings must be True"),
        ({"share_encoder_decoder_embeddings": False}, "share_encoder_decoder_embeddings must be True"),
        ({"decoder_vocab_size": 61}, "decoder_vocab_size must equal vocab_size"),
        ({"is_encoder_decoder": False}, "is_encoder_decoder must be True"),
        ({"quantization_config": {"bits": 4}}, "quantization_config must be None"),
        ({"position_embedding_type": "rotary"}, "position_embedding_type must be absolute"),
        ({"activation_function": "gelu_new"}, "activation_function must be one of gelu"),
        ({"d_model": "32"}, "d_model must be an integer"),
        ({"encoder_layers": None}, "encoder_layers must be an integer"),
        ({"encoder_attention_heads": 5, "decoder_attention_heads": 5}, r"d_model \(32\) must be divisible by heads"),
        ({"pad_token_id": 60}, "pad_id must lie in the vocabulary"),
    ],
)
def test_what_our_network_is_not_is_refused_by_name(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    path = saved("marian", tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    (tmp_path / "generation_config.json").unlink()
    with pytest.raises(ValueError, match=f"config.json: {named}"):
        load_hugging_face(tmp_path)


@pytest.mark.parametrize(("ids", "named"), [([2, 3], "eos_token_id"), (None, "eos_token_id"), (True, "eos_token_id")])
def test_an_end_that_is_not_one_token_is_refused(ids: Any, named: str, tmp_path: Path) -> None:
    path = saved("bart", tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": ids}))
    (tmp_path / "generation_config.json").unlink()
    with pytest.raises(ValueError, match=f"{named} must be one token id"):
        load_hugging_face(tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state | {"lm_head.weight": state["model.shared.weight"] + 1}, "lm_head.weight differs"),
        (lambda state: state | {"model.encoder.layer_norm.weight": torch.ones(32)}, "model.encoder.layer_norm.weight"),
        (lambda state: state | {"final_logits_bias": torch.full((1, VOCABULARY), torch.nan)}, "final_logits_bias has"),
        (lambda state: state | {"model.decoder.embed_positions.weight": torch.ones(40, 32)}, "not the table of sines"),
        (without("model.shared.weight"), "Missing key.*model.shared.weight"),
        (without("model.encoder.layers.0.fc1.bias"), "Missing key.*model.encoder.layers.0.fc1.bias"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(change: Any, named: str, tmp_path: Path) -> None:
    rewrite(saved("marian", tmp_path), change)
    with pytest.raises(ValueError, match=rf"(?s)model\.safetensors: .*{named}"):
        load_hugging_face(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.json", None, "config.json: cannot be read"),
        ("config.json", b"{", "config.json: cannot be read"),
        ("config.json", b"[]", "config.json: must be a JSON object"),
        ("model.safetensors", None, "model.safetensors: is missing"),
        ("model.safetensors", b"\x80\x04N.", "model.safetensors: "),
    ],
)
def test_a_folder_that_cannot_be_read_is_refused(name: str, content: bytes | None, told: str, tmp_path: Path) -> None:
    path = saved("bart", tmp_path) / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=told):
        load_hugging_face(tmp_path)
