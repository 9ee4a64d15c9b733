"""Hugging Face's models and `generate`: the reference ours must agree with, token for token."""

from typing import Any

import torch
from torch import Tensor
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
)

from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.model.config import ModelConfig

Tokens = list[list[list[int]]]
Scores = list[list[float]]


def family(config: ModelConfig) -> tuple[Any, Any]:
    if config.positions == "sinusoidal":
        return MarianConfig, MarianMTModel
    return (
        (MBartConfig, MBartForConditionalGeneration) if config.pre_norm else (BartConfig, BartForConditionalGeneration)
    )


def reference_model(config: ModelConfig, seed: int, *, eos_bias: float = 3.0, init_std: float = 0.24) -> Any:
    """A random model in double precision: Marian with sinusoidal positions, else mBART or, with `pre_norm` off, BART."""
    make_config, make_model = family(config)
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


def reference_hypotheses(model: Any, source: Tensor, mask: Tensor, options: GenerationOptions) -> tuple[Tokens, Scores]:
    """Every source's hypotheses, best first: new tokens and their padding, and scores."""
    beams = options.num_beams
    chosen: dict[str, Any] = {}
    if beams > 1:
        chosen |= {"length_penalty": options.length_penalty, "early_stopping": options.early_stopping}
        chosen |= {"num_return_sequences": beams}
    if options.bad_words:
        chosen |= {"bad_words_ids": [list(word) for word in options.bad_words]}
    if options.sample:
        chosen |= {"temperature": options.temperature, "top_k": options.top_k, "top_p": options.top_p}
    said = model.generate(
        input_ids=source,
        attention_mask=mask.long(),
        do_sample=options.sample,
        num_beams=beams,
        max_new_tokens=options.max_new_tokens,
        min_new_tokens=options.min_new_tokens,
        no_repeat_ngram_size=options.no_repeat_ngram,
        repetition_penalty=options.repetition_penalty,
        forced_bos_token_id=options.forced_bos_id,
        forced_eos_token_id=options.forced_eos_id,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        **chosen,
    )
    tokens = said.sequences[:, 1:].view(source.shape[0], beams, -1).tolist()
    scores = said.sequences_scores.view(-1, beams).tolist() if beams > 1 else greedy_scores(said, model.config, options)
    return tokens, scores


def greedy_scores(said: Any, config: Any, options: GenerationOptions) -> Scores:
    """What Hugging Face leaves out for one beam: the sum of log-probabilities over length to the power of the penalty.

    A forced token is certain; the repetition penalty acts on the logits.
    """
    totals = []
    for row, sequence in enumerate(said.sequences):
        total, said_before = 0.0, sequence[:1]
        for step, token in enumerate(sequence[1:].tolist()):
            logits = said.logits[step][row].clone()
            before = logits[said_before]
            penalty = options.repetition_penalty
            logits[said_before] = torch.where(before < 0, before * penalty, before / penalty)
            warped = logits.log_softmax(dim=0)
            if options.sample and options.temperature != 1.0:
                warped = warped / options.temperature
            certain = (options.forced_bos_id is not None and step == 0) or (
                options.forced_eos_id is not None and step == options.max_new_tokens - 1
            )
            total += 0.0 if certain else float(warped[token])
            said_before = sequence[: step + 2]
            if token == config.eos_token_id:
                break
        totals.append([total / (len(said_before) - 1) ** options.length_penalty])
    return totals
