"""What stands on the encoder for a while, to train it or to use it for something else than replies."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from dialogue_predictor.model.config import ModelConfig


class MaskedHead(nn.Module):
    """Names the token behind a mask, by the embedding that the model reads with (Devlin et al. 2019, arXiv:1810.04805)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.d_model, config.d_model)
        self.norm = nn.LayerNorm(config.d_model)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: Tensor, embedding: Tensor) -> Tensor:
        """States [N, D] of masked positions and the tied embedding [V, D] → logits [N, V]."""
        return functional.linear(self.norm(functional.gelu(self.dense(states))), embedding, self.bias)


class SiameseHead(nn.Module):
    """Where sentences are compared: two layers that are thrown away after training (SimCLR, arXiv:2002.05709)."""

    def __init__(self, width: int, out: int = 128) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, out)

    def forward(self, vectors: Tensor) -> Tensor:
        """Mean states [B, D] → [B, out]."""
        projected: Tensor = self.fc2(functional.gelu(self.fc1(vectors)))
        return projected


class ClassificationHead(nn.Module):
    """One of C classes for a whole source."""

    def __init__(self, width: int, classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, classes)

    def forward(self, vectors: Tensor) -> Tensor:
        """Mean states [B, D] → logits [B, C]."""
        logits: Tensor = self.out(self.dropout(vectors))
        return logits
