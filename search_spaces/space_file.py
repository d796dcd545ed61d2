"""The form of a space file, as pydantic checks it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from search_spaces.objectives import Objective

Number = StrictInt | StrictFloat
AnyScalar = StrictBool | StrictInt | StrictFloat | StrictStr


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=False, frozen=True)


class RangeModel(_Model):
    """Bounds on a number; either may be left out."""

    min: Number | None = None
    max: Number | None = None


class ParameterModel(_Model):
    """One parameter: exactly one of ``int``, ``float``, ``choice`` and ``bool``."""

    int_: Annotated[list[StrictInt] | None, Field(alias="int", min_length=2, max_length=2)] = None
    float_: Annotated[list[Number] | None, Field(alias="float", min_length=2, max_length=2)] = None
    choice: Annotated[list[AnyScalar] | None, Field(min_length=1)] = None
    bool_: Annotated[
        StrictBool | list[StrictBool] | None,
        Field(alias="bool", description="true, or the list of values"),
    ] = None
    step: Number | None = None
    log: StrictBool = False
    repeat: StrictStr | None = None
    when: dict[str, AnyScalar | list[AnyScalar] | RangeModel] | None = None


class DataModel(_Model):
    """What a space asks of the data."""

    max_seconds: Annotated[
        Number | None,
        Field(ge=0.025, le=1e6, description="keep the beginning of each recording, up to this"),
    ] = None


class SpaceModel(_Model):
    """A search space file."""

    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    description: StrictStr = ""
    searcher: StrictStr | None = None
    family: StrictStr | None = None
    data: DataModel = DataModel()
    parameters: Annotated[dict[str, ParameterModel], Field(min_length=1)]
    objectives: Annotated[dict[str, Objective], Field(min_length=1)]
    constraints: dict[str, RangeModel] = {}
