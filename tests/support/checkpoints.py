"""Tiny random checkpoints as Hugging Face saves them, each with a tokenizer of its family's own kind."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn

LINES = (
    "hello there, how are you today?", "a cheap hotel in the north, please", "the weather is fine",
    "便宜的酒店，谢谢", "what time does the museum open", "I would like a table for two", "thank you, goodbye",
)  # fmt: skip
FIRST = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
SIZES: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 96,
    "init_std": 0.24,
}  # fmt: skip
MODELS: dict[str, tuple[Any, Any]] = {
    "bart": (transformers.BartConfig, transformers.BartForConditionalGeneration),
    "mbart": (transformers.MBartConfig, transformers.MBartForConditionalGeneration),
    "marian": (transformers.MarianConfig, transformers.MarianMTModel),
    "pegasus": (transformers.PegasusConfig, transformers.PegasusForConditionalGeneration),
    "blenderbot": (transformers.BlenderbotConfig, transformers.BlenderbotForConditionalGeneration),
    "blenderbot-small": (transformers.BlenderbotSmallConfig, transformers.BlenderbotSmallForConditionalGeneration),
}


def checkpoint(family: str, folder: Path, **generation: Any) -> tuple[Any, Any]:
    """Write one; returns the model and the tokenizer that transformers reads from the folder."""
    tokenizer = tokenizer_of(family)
    tokenizer.save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = model_of(family, tokenizer)
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    return model, tokenizer


@torch.no_grad()
def model_of(family: str, tokenizer: Any) -> Any:
    """Random weights in which no norm and no bias is the identity, and which come to an end now and then."""
    make_config, make_model = MODELS[family]
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    ids = {
        "vocab_size": len(tokenizer), "pad_token_id": pad, "eos_token_id": end, "forced_eos_token_id": end,
        "decoder_start_token_id": pad if family in ("marian", "pegasus") else end,
        "bos_token_id": tokenizer.bos_token_id if tokenizer.bos_token_id is not None else end,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = make_model(make_config(**SIZES, **ids)).eval()
        for module in model.modules():
            if isinstance(module, nn.LayerNorm | nn.Linear) and module.bias is not None:
                module.bias.normal_(std=0.2)
        model.final_logits_bias.normal_(std=0.3)
    model.final_logits_bias[0, end] = 1.5
    if family == "blenderbot-small":  # transformers 5 forgets to scale the decoder's embedding, 4 and ParlAI do it
        decoder = model.model.decoder
        decoder.embed_tokens.register_forward_hook(lambda _module, _tokens, embedded: embedded * decoder.embed_scale)
    return model


def tokenizer_of(family: str) -> Any:
    if family in ("bart", "blenderbot"):
        make = transformers.BartTokenizer if family == "bart" else transformers.BlenderbotTokenizer
        tokenizer = make(**byte_level())
        if family == "blenderbot":
            tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
                single="$A </s>", special_tokens=[("</s>", FIRST["</s>"])]
            )
        return tokenizer
    if family == "mbart":
        return transformers.MBartTokenizer(vocab=pieces(tuple(FIRST)))
    if family == "pegasus":
        return transformers.PegasusTokenizer(vocab=pieces(("<pad>", "</s>", "<unk>")), offset=3)
    whole = Tokenizer(models.Unigram(pieces(("</s>", "<unk>")), unk_id=1))
    whole.pre_tokenizer = pre_tokenizers.Metaspace()
    whole.decoder = decoders.Metaspace()
    whole.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 0)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=whole, eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


@cache
def byte_level() -> dict[str, Any]:
    """Vocabulary and merges of a byte-level BPE."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=[*FIRST, "<mask>"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(LINES, trainer)
    model = json.loads(bpe.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


@cache
def pieces(special: tuple[str, ...]) -> list[tuple[str, float]]:
    """The words of a unigram vocabulary with their scores."""
    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=list(special), unk_token="<unk>", show_progress=False
    )
    unigram.train_from_iterator(LINES, trainer)
    return [(word, score) for word, score in json.loads(unigram.to_str())["model"]["vocab"]]
