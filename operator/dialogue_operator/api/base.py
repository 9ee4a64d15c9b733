"""The base of every API model: camelCase outside, frozen inside, unknown fields ignored."""

from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Json: TypeAlias = dict[str, Any]


class ApiModel(BaseModel):
    """Unknown fields are ignored: an older operator must read objects that a newer CRD admitted."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True, extra="ignore"
    )

    def to_json(self) -> Json:
        """The object as the API server keeps it: camelCase, nothing that is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
