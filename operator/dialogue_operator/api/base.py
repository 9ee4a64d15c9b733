"""The base of every API model: camelCase outside, frozen inside, unknown fields ignored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """What must hold between the fields of one object: as CEL for the API server, and as a check for our own reading.

    `field` is the one to be named where the rule is broken, such as `steps`; dots lead further down.
    """

    cel: str
    check: Callable[[Any], bool]
    field: str
    message: str

    def to_json(self) -> Json:
        return {"rule": self.cel, "message": self.message, "fieldPath": f".{self.field}"}

    def broken_by(self, value: Any) -> InitErrorDetails:
        kind = PydanticCustomError("rule", "{text}", {"text": self.message})
        return InitErrorDetails(type=kind, loc=tuple(self.field.split(".")), input=value)


class ApiModel(BaseModel):
    """Unknown fields are ignored: an older operator must read objects that a newer CRD admitted."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True, extra="ignore"
    )
    RULES: ClassVar[tuple[Rule, ...]] = ()

    def to_json(self) -> Json:
        """The object as the API server keeps it: camelCase, nothing that is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @model_validator(mode="after")
    def _obey(self) -> Self:
        if broken := [rule.broken_by(self) for rule in self.RULES if not rule.check(self)]:
            raise ValidationError.from_exception_data(type(self).__name__, broken)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        found: Json = handler(schema)
        if cls.RULES:
            handler.resolve_ref_schema(found)["x-kubernetes-validations"] = [rule.to_json() for rule in cls.RULES]
        return found
