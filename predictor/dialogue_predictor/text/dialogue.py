"""A dialogue is a sequence of turns; a turn is who spoke and what was said.

The roles are those of every protocol we serve; corpora that say "system" for the answering side are
translated when they are read.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["user", "assistant", "system"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Turn:
    role: Role
    text: str
