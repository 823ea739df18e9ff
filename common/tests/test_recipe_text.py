"""Recipes: changes by name, storage as JSON, and what an unknown name answers."""

import json
import re
from dataclasses import replace

import pytest

from common.errors import UserError
from common.recipe import DESCRIPTION, Approximate, Dbscan, InfoMap
from common.recipe_text import flatten, from_json, override, parse_changes, to_json, to_plain
from common.schedules import Constant, LinearEps, LogEps, StepDecay
from methods import METHODS
from methods.hhcl.recipes import MARKET1501, HHCLSettings


def changed(text):
    return override(MARKET1501, parse_changes([text]))


def test_a_change_is_read_as_the_type_it_replaces():
    assert changed("clustering.min_samples=8").clustering.min_samples == 8
    assert changed("settings.momentum=0.2").settings.momentum == 0.2
    assert changed("sampling.cameras=false").sampling.cameras is False
    assert changed("augment.erase_area=0.1,0.2").augment.erase_area == (0.1, 0.2)


def test_a_constant_schedule_takes_a_plain_number():
    assert changed("clustering.eps=0.55").clustering.eps == Constant(0.55)


def test_another_kind_of_schedule_or_clustering_is_written_as_a_call():
    assert changed("clustering.eps=LinearEps(start=0.6)").clustering.eps == LinearEps(0.6)
    assert changed("lr_factor=StepDecay(every=3)").lr_factor == StepDecay(3)
    assert changed("clustering=InfoMap(k1=10)").clustering == InfoMap(k1=10)
    assert changed("clustering.search=Approximate(share=0.2)").clustering.search == Approximate(0.2)


def test_a_kind_may_hold_others():
    inner = "eps=LinearEps(start=0.6), search=Approximate(share=0.2)"
    expected = Dbscan(eps=LinearEps(0.6), search=Approximate(0.2))
    assert changed(f"clustering=Dbscan({inner})").clustering == expected
    assert changed("clustering=Dbscan(eps=0.5)").clustering == Dbscan(eps=Constant(0.5))


@pytest.mark.parametrize(
    "texts",
    [
        ("settings.hard_weight=0", "settings.hybrid_weights=balanced"),
        ("clustering.k1=20", "clustering.similarity=0.4", "clustering=InfoMap()"),
        ("epochs=200", "clustering.eps=LogEps(start=0.6, epochs=200)"),
        ("clustering.eps=0.4", "epochs=2000"),
    ],
)
def test_the_order_of_changes_is_of_no_effect(texts):
    long = replace(MARKET1501, clustering=Dbscan(eps=LogEps(0.6, epochs=60)))
    there = override(long, parse_changes(list(texts)))
    assert override(long, parse_changes(list(reversed(texts)))) == there
    for text in texts:
        if not text.endswith(")"):
            assert override(there, parse_changes([text])) == there


def test_a_name_with_two_values_is_refused():
    with pytest.raises(UserError, match=r"lr is given 1 and 2\. Leave one"):
        parse_changes(["lr=1", " lr = 2"])
    assert parse_changes(["lr=1", "lr=1"]) == {"lr": "1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("setings.momentum=0.2", "Did you mean 'settings'"),
        ("settings.momentun=0.2", "Did you mean 'settings.momentum'"),
        ("k1=20", "Did you mean 'clustering.k1'"),
        ("eps=0.5", "Did you mean 'clustering.eps'"),
        ("settings.queue_length=4", "Known here: settings.memory"),
        ("clustering.search.share=1", "clustering.search is Exact()"),
        ("nothing=1", "Known here: settings, encoder"),
        ("settings.momentum=fast", "write a number."),
        ("settings.memory=best", "choose one of"),
        ("sampling.cameras=1", "true or false"),
        ("settings=3", "group of settings"),
        ("seed.x=3", "single value"),
        ("clustering.eps=__import__('os').system('true')", "one of"),
        ("clustering.eps=LinearEps(0.6)", "write a number, or one of"),
        ("clustering.eps=fast", "write a number, or one of"),
        ("clustering=InfoMap", "e.g. InfoMap()"),
        ("clustering=Dbscan(search=3)", "write one of"),
        ("settings=HHCLSettings()", "group of settings"),
        ("clustering.search=approximate", "write one of Approximate, Exact"),
        ("settings.hard_weight=0", "above 0"),
        ("lr=-1", "must not be negative"),
        ("lr=nan", "must be finite"),
        ("lr=inf", "must be finite"),
        ("lr_factor=-1", "not negative in every epoch"),
        ("lr_factor=nan", "not negative in every epoch"),
        ("lr_factor=StepDecay(every=2, factor=-0.5)", "not negative in every epoch"),
        ("lr_factor=StepDecay(every=1, factor=1e300)", "finite and not negative"),
        ("lr_factor=Warmup(epochs=-1)", "must not be negative"),
        ("epochs=0", "must lie in [1, 10000]"),
        ("epochs=1000000000", "must lie in [1, 10000]"),
        ("eval_every=0", "must be at least 1"),
        ("bn_chunks=0", "must be at least 1"),
        ("seed=-1", "must lie in"),
        ("seed=99999999999999999999999", "must lie in"),
        ("encoder.dropout=2", "must lie in [0, 1)"),
        ("encoder.height=0", "must lie in [1, 1024]"),
        ("encoder.width=100000", "must lie in [1, 1024]"),
        ("encoder.parts=1000000000", "must lie in [1, 64]"),
        ("encoder.embedding=1000000000", "must lie in [0, 65536]"),
        ("augment.pad=-1", "must lie in [0, 256]"),
        ("clustering.k1=1000000", "must lie in [2, 1000]"),
        ("augment.flip=7", "must lie in"),
        ("augment.erase_area=0.5", "2 values"),
        ("augment.erase_area=0.9,0.1", "low <= high"),
        ("augment.erase_area=0.9,1.1", "1 at most"),
        ("sampling.batch_size=0", "must be at least 1"),
        ("sampling.instances=-1", "must not be negative"),
        ("sampling.iterations=10000000000000000000", "must lie in [0, 1000000]"),
        ("clustering.eps=1.5", "clustering.eps=1.5: must lie in (0, 1) in every epoch"),
        ("clustering.eps=nan", "in every epoch"),
        ("clustering.eps=LinearEps(start='a')", "one of"),
        ("clustering.eps=LinearEps(start=0.6, every=0)", "must be at least 1"),
        ("clustering.eps=LogEps(start=0.6, epochs=0)", "must be at least 1"),
        ("lr_factor=StepDecay(every=0)", "must be at least 1"),
        ("variant=ibn", "not a setting. `tools reproduce` takes METHOD"),
        ("paper.map=99", "not a setting"),
        ("encoder=EncoderSettings(pooling='most')", "with its settings by name"),
        ("clustering=Dbscan(search='fast')", "with its settings by name"),
    ],
)
def test_a_wrong_change_says_what_to_write(text, said):
    with pytest.raises(UserError, match=re.escape(said)):
        changed(text)


def test_a_constant_schedule_in_a_call_takes_a_plain_number():
    clustering = changed("clustering=Dbscan(eps=0.5, min_samples=8)").clustering
    assert (clustering.eps, clustering.min_samples) == (Constant(0.5), 8)


def test_a_change_without_a_sign_is_refused():
    with pytest.raises(UserError, match="NAME=VALUE"):
        parse_changes(["epochs"])


EVERY = [(spec, r) for spec in METHODS.values() for r in (*spec.recipes, spec.user_recipe)]


@pytest.mark.parametrize(
    ("spec", "recipe"),
    EVERY,
    ids=[f"{r.method}-{r.dataset}-{r.source}-{r.variant}" for _, r in EVERY],
)
def test_every_recipe_survives_being_stored(spec, recipe):
    assert from_json(to_json(recipe), spec.settings) == recipe


def test_a_setting_that_a_later_version_stored_is_passed_over():
    plain = to_plain(MARKET1501)
    plain["encoder"]["fins"] = plain["fins"] = 2
    settings = METHODS[MARKET1501.method].settings
    assert from_json(json.dumps(plain), settings) == MARKET1501


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", [1]),
        ("settings", {}),
        ("clustering", 0.5),
        ("precision", "quick"),
        ("epochs", True),
        ("lr", None),
        ("lr", "1"),
    ],
)
def test_a_stored_setting_of_another_type_is_refused(name, value):
    plain = {**to_plain(MARKET1501), name: value}
    with pytest.raises(TypeError):
        from_json(json.dumps(plain), METHODS[MARKET1501.method].settings)


def test_flat_names_are_the_names_that_can_be_changed():
    for name, value in flatten(MARKET1501).items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and name.split(".")[0] not in DESCRIPTION:
            override(MARKET1501, {name: str(value)})
    assert flatten(MARKET1501)["settings.memory"] == HHCLSettings().memory
