"""Pruning: zeros that stay zeros, and smaller models that compute what is left of the larger ones."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dialogue_predictor.compression.importance import Importance, measure_importance
from dialogue_predictor.compression.magnitude import apply, masks_of, prunable, sparsity
from dialogue_predictor.compression.prune import PruneOptions, prune
from dialogue_predictor.compression.structure import smaller, smaller_config
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.model.attention import Attention
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer, Layer
from dialogue_predictor.training.batches import Batch
from dialogue_predictor.training.finetune import FinetuneOptions, finetune
from dialogue_predictor.training.loop import LoopOptions, train
from dialogue_predictor.training.objectives import sequence_to_sequence
from dialogue_predictor.training.observers import Silent
from dialogue_predictor.training.run import load_start, open_run
from dialogue_predictor.training.schedule import Schedule
from dialogue_predictor.training.tasks import Seq2Seq
from support.tiny_batches import batch_of, examples
from support.tiny_corpora import write_corpora
from support.tiny_models import tiny_model, token_ids

LOOP = LoopOptions(precision="fp32", report_steps=1000, average_decay=0.9, weight_decay=0.1)


def measured(model: DialogueTransformer, batches: list[Batch]) -> Importance:
    def loss(batch: Batch) -> Tensor:
        return sequence_to_sequence(model, batch).mean

    return measure_importance(model, batches, loss)


@torch.no_grad()
def silence(model: DialogueTransformer) -> None:
    """In each attention the second head and in each layer the hidden units 0 to 7 have no say."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.out_proj.weight[:, module.head_width : 2 * module.head_width] = 0
        if isinstance(module, Layer):
            module.fc2.weight[:, :8] = 0


def said(model: DialogueTransformer) -> list[tuple[int, ...]]:
    sources = [one.source for one in examples()]
    options = GenerationOptions(num_beams=3, max_new_tokens=10)
    return [
        outcome.best.tokens for outcome in decode(IncrementalModel(model), sources, options, token_ids(model.config))
    ]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_share_asked_for_becomes_zero_and_stays_so_while_the_rest_learns(scope: str) -> None:
    model, batch = tiny_model(5, dropout=0.1), batch_of(examples())
    masks = masks_of(model, 0.6, "layer" if scope == "layer" else "global")
    apply(model, masks)
    assert sparsity(model) == pytest.approx(0.6, abs=1e-3)
    shares = [float((value == 0).float().mean()) for value in prunable(model).values()]
    assert (max(shares) - min(shares) < 0.01) == (scope == "layer")
    before = {name: value.detach().clone() for name, value in prunable(model).items()}

    def batches(skip: int) -> Iterator[Batch]:
        while True:
            yield batch

    task = Seq2Seq(model)
    outcome = train(task, batches, Schedule(max_steps=10, peak_rate=1e-2, warmup_steps=2), LOOP)
    task.load_state_dict(outcome.weights)
    for name, value in prunable(model).items():
        assert bool((value[~masks[name]] == 0).all())
        assert not torch.equal(value, before[name])


def test_the_least_weights_of_all_go_first() -> None:
    model = tiny_model(5)
    weights = {name: value.detach() for name, value in prunable(model).items()}
    masks = masks_of(model, 0.3)
    gone = max(float(value[~masks[name]].abs().max()) for name, value in weights.items() if not masks[name].all())
    stays = min(float(value[masks[name]].abs().min()) for name, value in weights.items())
    assert gone <= stays


def test_units_that_say_nothing_matter_nothing_and_leave_without_a_trace() -> None:
    model = tiny_model(5, eos_bias=-3.0, copy=True)
    silence(model)
    importance = measured(model, [batch_of(examples(8, seed)) for seed in range(3)])
    assert all(float(values[1]) == 0 < float(values.sum()) for values in importance.heads.values())
    assert all(float(values[:8].sum()) == 0 < float(values[8:].min()) for values in importance.hidden.values())
    config = smaller_config(model.config, heads=3, ffn=40)
    assert (config.heads, config.head_width, config.ffn) == (3, 8, 40)
    small = smaller(model, importance, config)
    assert sum(value.numel() for value in small.parameters()) < sum(value.numel() for value in model.parameters())
    batch = batch_of(examples())
    inputs = (batch.source, batch.source_mask, batch.target_in)
    assert torch.allclose(small(*inputs), model(*inputs), atol=1e-4)
    assert said(small) == said(model)
    assert len(set(said(model))) > 10


def test_a_smaller_model_computes_what_the_masked_one_computes() -> None:
    model, batch = tiny_model(6), batch_of(examples())
    importance = measured(model, [batch])
    small = smaller(model, importance, smaller_config(model.config, heads=2, ffn=20))
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, Attention):
                for head in importance.heads[name].argsort()[:2].tolist():
                    module.out_proj.weight[:, head * module.head_width : (head + 1) * module.head_width] = 0
            if isinstance(module, Layer):
                module.fc2.weight[:, importance.hidden[name].argsort()[:28]] = 0
    inputs = (batch.source, batch.source_mask, batch.target_in)
    assert torch.allclose(small(*inputs), model(*inputs), atol=1e-4)


def test_a_gates_gradient_is_what_taking_a_little_of_a_head_costs() -> None:
    model, batch = tiny_model(7, spread=4.0), batch_of(examples(1))
    found = measured(model, [batch]).heads["model.decoder.layers.0.self_attn"][2]
    attention = model.model.decoder.blocks[0].self_attn
    losses = []
    for factor in (1.01, 0.99):
        with torch.no_grad():
            kept = attention.out_proj.weight.clone()
            attention.out_proj.weight[:, 16:24] *= factor
            losses.append(float(sequence_to_sequence(model, batch).mean))
            attention.out_proj.weight.copy_(kept)
    assert float(found) == pytest.approx(abs(losses[0] - losses[1]) / 0.02, rel=0.05)


def test_a_layer_that_changes_nothing_is_the_one_to_go() -> None:
    model, batch = tiny_model(5, encoder_layers=3), batch_of(examples())
    idle = model.model.encoder.blocks[1]
    with torch.no_grad():
        for last in (idle.self_attn.out_proj, idle.fc2):
            last.weight.zero_()
    importance = measured(model, [batch])
    assert importance.layers["model.encoder.layers.1"] == pytest.approx(0, abs=1e-6)
    small = smaller(model, importance, smaller_config(model.config, encoder_layers=2))
    inputs = (batch.source, batch.source_mask, batch.target_in)
    layers = [importance.layers[f"model.encoder.layers.{layer}"] for layer in (0, 2)]
    assert min(layers) > 0
    assert torch.allclose(small(*inputs), model(*inputs), atol=1e-5)


def test_measuring_leaves_no_trace_in_the_model() -> None:
    model, batch = tiny_model(5), batch_of(examples())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    scores = model(batch.source, batch.source_mask, batch.target_in)
    measured(model, [batch])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.grad is None for value in model.parameters())
    assert torch.equal(model(batch.source, batch.source_mask, batch.target_in), scores)


def test_a_model_that_shares_its_layers_loses_heads_but_no_layers() -> None:
    model, batch = tiny_model(5, shared_layers=True), batch_of(examples())
    silence(model)
    small = smaller(model, measured(model, [batch]), smaller_config(model.config, heads=3))
    inputs = (batch.source, batch.source_mask, batch.target_in)
    assert torch.allclose(small(*inputs), model(*inputs), atol=1e-4)
    with pytest.raises(ValueError, match="--encoder-layers 1: all layers of the model are one"):
        smaller_config(model.config, encoder_layers=1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"heads": 5}, r"--heads must lie in 1\.\.4"),
        ({"ffn": 0}, r"--ffn must lie in 1\.\.48"),
        ({}, "nothing to take out"),
    ],
)
def test_what_cannot_be_taken_out_is_refused_by_its_flag(asked: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        smaller_config(tiny_model(5).config, **asked)


def test_zeros_and_parts_are_not_asked_for_at_once() -> None:
    for options in ({}, {"share": 0.5, "model": {"heads": 1}}):
        with pytest.raises(ValueError, match="either --share"):
            PruneOptions(**options)  # type: ignore[arg-type]


def test_runs_are_pruned_and_recover(tmp_path: Path) -> None:
    data = write_corpora(tmp_path / "data")
    size = {"vocab_size": 600, "d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "heads": 2, "ffn": 64}
    loop = LoopOptions(report_steps=10, checkpoint_seconds=math.inf, average_decay=0.9, precision="fp32")
    base: dict[str, Any] = {
        "schedule": Schedule(max_steps=10, peak_rate=5e-3, warmup_steps=4),
        "loop": loop,
        "batch_tokens": 256,
    }
    base |= {"epoch_examples": 60, "threads": 1, "validation_examples": 8}
    finetune(data, tmp_path / "whole", FinetuneOptions(model=size, **base), observer=Silent())
    structured = PruneOptions(
        model={"heads": 1, "ffn": 32, "encoder_layers": 1}, importance_batches=2, compared=4, **base
    )
    prune(tmp_path / "whole", data, tmp_path / "parts", structured, observer=Silent())
    run = open_run(tmp_path / "parts")
    config = run.config
    assert (config.heads, config.head_width, config.ffn, config.encoder_layers) == (1, 16, 32, 1)
    told = run.report["compression"]
    assert told["after"]["parameters"] < told["before"]["parameters"]
    assert told["after"]["bytes"] < told["before"]["bytes"]
    prune(tmp_path / "whole", data, tmp_path / "zeros", PruneOptions(share=0.5, compared=4, **base), observer=Silent())
    report = open_run(tmp_path / "zeros").report
    assert report["sparsity"] == pytest.approx(0.5, abs=1e-3)
    assert report["compression"]["after"]["nonzero"] < 0.8 * report["compression"]["before"]["nonzero"]
    assert sparsity(load_start(tmp_path / "zeros")[0]) == pytest.approx(report["sparsity"], abs=1e-6)
