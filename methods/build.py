"""From a recipe and a data set to a method that can be trained or tested."""

from dataclasses import replace

import torch

from common.arithmetic import compiles
from common.backbones.dropout import Dropout
from common.backbones.encoder import build_encoder
from common.method import Build, Method
from common.recipe import Recipe, chunks_per_process
from common.streams import Streams
from common.team import Team
from common.types import Dataset, TrainData
from methods.clustercontrast.method import ClusterContrast
from methods.dccc.method import DCCC
from methods.dsgl.method import DSGL
from methods.hdcpd.method import build_hdcpd
from methods.hhcl.method import HHCL
from methods.multiqueue.method import MultiQueue
from methods.spcl.method import SpCL

BUILDS: dict[str, Build] = {
    "spcl": SpCL,
    "clustercontrast": ClusterContrast,
    "hhcl": HHCL,
    "hdcpd": build_hdcpd,
    "dccc": DCCC,
    "dsgl": DSGL,
    "multiqueue": MultiQueue,
}


def build_method(
    recipe: Recipe,
    dataset: Dataset,
    source: Dataset | None,
    team: Team,
    streams: Streams,
    *,
    restored: bool = False,
    steps: int | None = None,
) -> Method:
    """The method with its encoder, on the team's device.

    Args:
        dataset, source: the target, and the labelled source domain if there is one.
        restored: a checkpoint will be loaded, so initial weights are not needed.
        steps: of training that compiling has to pay for; None for all of the recipe's.

    Raises:
        UserError: initial weights that are missing or do not fit.
    """
    settings = replace(recipe.encoder, weights="random") if restored else recipe.encoder
    chunks = chunks_per_process(recipe.bn_chunks, team.size)
    encoder = build_encoder(settings, chunks, 2 if source else 1, recipe.seed)
    encoder.place_on(team.device, recipe.precision)
    steps = steps or recipe.steps(len(dataset.train))
    encoder.compiled = compiles(recipe.precision, team.device, steps)
    if encoder.compiled:
        torch.compiler.reset()  # graphs of an earlier run (--seeds, --sweep) hold memory and count
    data = TrainData(
        num_images=len(dataset.train),
        cams=dataset.train.cams,
        source_pids=source.train.pids if source else None,
        num_source_ids=source.train.num_ids if source else 0,
        target_pids=dataset.train.pids if recipe.supervised else None,
    )
    method = BUILDS[recipe.method](encoder, recipe, data, team, streams).to(team.device)
    if recipe.encoder.dropout:
        for part in method.modules():  # a teacher's too
            if isinstance(part, Dropout):
                part.draw_from(streams["dropout"].torch, team)
    return method
