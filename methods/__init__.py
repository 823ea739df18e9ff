"""The methods by name. `METHODS` is all that `tools` knows of them."""

from common.method import MethodSpec
from methods.hhcl import SPEC as HHCL

METHODS: dict[str, MethodSpec] = {spec.name: spec for spec in (HHCL,)}
