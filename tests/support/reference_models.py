"""Hugging Face's models and `generate`: the reference ours must agree with, token for token."""

from typing import Any

import torch
from transformers import BartConfig, BartForConditionalGeneration, MBartConfig, MBartForConditionalGeneration

from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.model.config import ModelConfig

FAMILIES = {True: (MBartConfig, MBartForConditionalGeneration), False: (BartConfig, BartForConditionalGeneration)}


def reference_model(config: ModelConfig, seed: int, *, eos_bias: float = 3.0, init_std: float = 0.24) -> Any:
    """A random mBART, or with `pre_norm` off a random BART, in double precision."""
    make_config, make_model = FAMILIES[config.pre_norm]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make_model(
            make_config(
                vocab_size=config.vocab_size,
                d_model=config.d_model,
                encoder_layers=config.encoder_layers,
                decoder_layers=config.decoder_layers,
                encoder_attention_heads=config.heads,
                decoder_attention_heads=config.heads,
                encoder_ffn_dim=config.ffn,
                decoder_ffn_dim=config.ffn,
                max_position_embeddings=config.max_positions,
                activation_function=config.activation,
                scale_embedding=config.scale_embedding,
                pad_token_id=config.pad_id,
                bos_token_id=config.bos_id,
                eos_token_id=config.eos_id,
                decoder_start_token_id=config.decoder_start_id,
                forced_eos_token_id=None,
                init_std=init_std,
            )
        )
    model.final_logits_bias[0, config.eos_id] = eos_bias
    return model.double().eval()


def reference_hypotheses(
    model: Any, source: torch.Tensor, mask: torch.Tensor, options: GenerationOptions
) -> tuple[list[list[list[int]]], list[list[float]]]:
    """Every source's hypotheses, best first: new tokens and their padding, and scores (none when greedy)."""
    beams = options.num_beams
    searching: dict[str, Any] = (
        {"length_penalty": options.length_penalty, "early_stopping": options.early_stopping} if beams > 1 else {}
    )
    said = model.generate(
        input_ids=source,
        attention_mask=mask.long(),
        do_sample=False,
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=options.max_new_tokens,
        min_new_tokens=options.min_new_tokens,
        no_repeat_ngram_size=options.no_repeat_ngram,
        forced_bos_token_id=options.forced_bos_id,
        forced_eos_token_id=options.forced_eos_id,
        return_dict_in_generate=True,
        output_scores=True,
        **searching,
    )
    tokens = said.sequences[:, 1:].view(source.shape[0], beams, -1).tolist()
    scores = said.sequences_scores.view(-1, beams).tolist() if beams > 1 else []
    return tokens, scores
