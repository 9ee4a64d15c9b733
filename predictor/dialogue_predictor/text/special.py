"""The special tokens and their ids: the first rows of every vocabulary that we train.

Their order is part of the bundle's format: a bundle records them, and one that disagrees is refused.
"""

from types import MappingProxyType
from typing import Final

from dialogue_predictor.text.dialogue import Role

PAD: Final = "<pad>"
BOS: Final = "<s>"
EOS: Final = "</s>"
UNK: Final = "<unk>"
MASK: Final = "<mask>"
USER: Final = "<user>"
ASSISTANT: Final = "<assistant>"
SYSTEM: Final = "<system>"
FACT: Final = "<fact>"

SPECIAL_TOKENS: Final = (PAD, BOS, EOS, UNK, MASK, USER, ASSISTANT, SYSTEM, FACT)
SPECIAL_IDS: Final = MappingProxyType({token: index for index, token in enumerate(SPECIAL_TOKENS)})

PAD_ID: Final = SPECIAL_IDS[PAD]
BOS_ID: Final = SPECIAL_IDS[BOS]
EOS_ID: Final = SPECIAL_IDS[EOS]
MASK_ID: Final = SPECIAL_IDS[MASK]
FACT_ID: Final = SPECIAL_IDS[FACT]
ROLE_IDS: Final[MappingProxyType[Role, int]] = MappingProxyType(
    {"user": SPECIAL_IDS[USER], "assistant": SPECIAL_IDS[ASSISTANT], "system": SPECIAL_IDS[SYSTEM]}
)
