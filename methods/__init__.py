"""The methods by name: what is known of them, without what computes, see `build.py`."""

from common.spec import MethodSpec
from methods.clustercontrast import SPEC as CLUSTERCONTRAST
from methods.dccc import SPEC as DCCC
from methods.dsgl import SPEC as DSGL
from methods.hdcpd import SPEC as HDCPD
from methods.hhcl import SPEC as HHCL
from methods.multiqueue import SPEC as MULTIQUEUE
from methods.spcl import SPEC as SPCL

METHODS: dict[str, MethodSpec] = {
    spec.name: spec for spec in (SPCL, CLUSTERCONTRAST, HHCL, HDCPD, DCCC, DSGL, MULTIQUEUE)
}
