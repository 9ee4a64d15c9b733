"""How likely a model finds what people replied."""

from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional

from dialogue_predictor.evaluation.cases import Case
from dialogue_predictor.evaluation.metrics import perplexity
from dialogue_predictor.evaluation.report import Figure
from dialogue_predictor.evaluation.setting import Setting
from dialogue_predictor.evaluation.subject import Subject, by_length

PART = "perplexity"


def likelihood(setting: Setting) -> Iterator[Figure]:
    for corpus in setting.corpora.names():
        for who, subject in setting.subjects.items():
            nll, tokens = total_nll(subject, setting.cases(corpus))
            yield Figure(PART, corpus, "perplexity", who, perplexity(nll, tokens), tokens)


@torch.inference_mode()
def total_nll(subject: Subject, cases: Sequence[Case]) -> tuple[float, int]:
    """Negative log-likelihood in nats of the cases' replies with their `</s>`, summed, and over how many tokens.

    In fp32, a reply cut at the model's positions.
    """
    model, config = subject.model, subject.model.config
    targets = [(*subject.tokenizer.encode(case.reply), config.eos_id)[: config.max_positions] for case in cases]
    sources = [subject.source(case.turns) for case in cases]
    nll, tokens = 0.0, 0
    for chosen in by_length(sources):
        source, mask = subject.batch([sources[index] for index in chosen])
        target, kept = subject.batch([targets[index] for index in chosen])  # [B, T]
        start = torch.full((len(chosen), 1), config.decoder_start_id)
        scores = model(source, mask, torch.cat((start, target[:, :-1]), dim=1))  # [B, T, V]
        nll += float(functional.cross_entropy(scores[kept].float(), target[kept], reduction="sum"))
        tokens += int(kept.sum())
    return nll, tokens
