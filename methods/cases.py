"""How stored cases of the authors' code are run: by method, then by beginning of file name."""

from collections.abc import Mapping

from common.reference import Runner
from methods.clustercontrast.cases import CASES as CLUSTERCONTRAST
from methods.dccc.cases import CASES as DCCC
from methods.dsgl.cases import CASES as DSGL
from methods.hdcpd.cases import CASES as HDCPD
from methods.hhcl.cases import CASES as HHCL
from methods.multiqueue.cases import CASES as MULTIQUEUE
from methods.spcl.cases import CASES as SPCL

CASES: dict[str, Mapping[str, Runner]] = {
    "spcl": SPCL,
    "clustercontrast": CLUSTERCONTRAST,
    "hhcl": HHCL,
    "hdcpd": HDCPD,
    "dccc": DCCC,
    "dsgl": DSGL,
    "multiqueue": MULTIQUEUE,
}
