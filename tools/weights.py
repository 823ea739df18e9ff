"""Trained weights for testing: a run folder, one of our checkpoints, or a published one."""

from dataclasses import replace
from pathlib import Path

from common.backbones.encoder import Encoder, build_encoder
from common.backbones.network_file import describe_network
from common.backbones.tensor_files import encoder_state, method_of
from common.backbones.weights import load_trained, require_fit
from common.errors import UserError
from common.recipe import Recipe
from common.records import is_run_folder
from common.run import RunDir, load_checkpoint


def run_of(weights: Path) -> RunDir | None:
    """The run folder that a path names or lies in."""
    for folder in (weights, weights.parent):
        if is_run_folder(folder):
            return RunDir(folder)
    return None


def trained_encoder(weights: Path, recipe: Recipe) -> Encoder:
    """The encoder with the weights of a run (its best test) or a published checkpoint.

    Raises:
        UserError: missing, unreadable, or of another method or architecture.
    """
    settings = replace(recipe.encoder, weights="random")
    if weights.is_dir():
        weights = next(
            (weights / n for n in ("best.pt", "last.pt") if (weights / n).is_file()), weights
        )
    if not weights.is_file():
        raise UserError(
            f"{weights} holds no weights. Name a run that has completed an epoch, or a checkpoint "
            "file."
        )
    if run_of(weights) is None:
        require_method(weights, method_of(weights) or recipe.method, recipe.method)
        encoder = build_encoder(settings, domains=describe_network(weights).domains)
        load_trained(encoder, weights)
        return encoder
    state = load_checkpoint(weights)
    require_method(weights, state.get("method", "an unknown method"), recipe.method)
    if state.get("arch") != settings.arch:
        raise UserError(
            f"{weights} holds a {state.get('arch')}, asked for is {settings.arch}. "
            "Leave the architecture to the run's recipe."
        )
    encoder = build_encoder(settings, domains=2 if recipe.source else 1)
    with RunDir(weights.parent).reading(weights.name):
        tensors = encoder_state(state)
        require_fit(weights, tensors, encoder.state_dict())
    encoder.load_state_dict(tensors)
    return encoder


def require_method(weights: Path, found: str, asked: str) -> None:
    """Refuse weights of another method: their scores would stand under its name."""
    if found != asked:
        raise UserError(f"{weights} was trained by {found}, not by {asked}. Name its method.")
