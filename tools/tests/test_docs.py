"""The documentation names files, commands, settings and published numbers that exist."""

import ast
import dataclasses
import importlib
import re
import runpy
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import typer

import methods
from common.data.synthetic.strength import STRENGTHS, Strength
from common.errors import UserError
from common.recipe_text import override, parse_changes
from common.run import RunDir
from methods import METHODS
from methods.build import BUILDS
from methods.small_runs import run_small, small_data, small_recipe
from tools.bench import arguments_of, found_benchmarks
from tools.cli import app
from tools.lookup import paper_recipe
from tools.synth import synth

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("README.md")]
CODE = re.compile(r"^(`{3,})[^\n]*\n(.*?)^\1|(`+)(.+?)\3", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
INVOCATION = re.compile(r"^(?:\$ )?(?:\w+=\S+ )*(?:(?:python3?|torchrun .*?) -m )?tools ([a-z].*)$")
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}(?:-[A-Z]+)*(?=\s|$)|\.\.\.|<|\[")
FILL = re.compile(r"(\b[A-Z]{2,}(?:-[A-Z]+)*(?=[\s\]]|$)|<[^>]*>)|\.\.\.|[\[\]]")


def method_page(name):
    return (ROOT / "docs" / "methods" / f"{name}.md").read_text("utf-8")


def without_code(text):
    return CODE.sub("", text)


def anchors(path):
    """Headings as links name them: lower case, words joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_of(text):
    """Code spans, and the lines of fenced and of indented blocks; continued lines joined."""
    text = text.replace("\\\n", " ")
    spans = [(match[2] or match[4]).strip() for match in CODE.finditer(text)]
    indented = re.findall(r"^ {4}(.+)$", text, re.MULTILINE)
    return [line.strip() for code in (*spans, *indented) for line in code.splitlines()]


def invocations(text):
    """What follows `tools` in every command."""
    parts = [part.strip() for line in code_of(text) for part in line.split("&&")]
    return [match[1] for part in parts if (match := INVOCATION.match(part))]


def commands_of(text):
    """Arguments of every `tools` command that is written out, as a shell would split them."""
    written = [w for w in invocations(text) if not PLACEHOLDER.search(w)]
    return [tuple(shlex.split(w, comments=True)) for w in written]


def patterns_of(text):
    """Arguments of every pattern of a command, with 1 in each place and all that is optional."""
    patterns = [w for w in invocations(text) if PLACEHOLDER.search(w)]
    filled = [FILL.sub(lambda m: "1" if m[1] else "", pattern) for pattern in patterns]
    return [tuple(shlex.split(f, comments=True)) for f in filled]


COMMAND_LINE = typer.main.get_command(app)
COMMANDS = sorted({c for page in PAGES for c in commands_of(page.read_text("utf-8"))})
PATTERNS = sorted({p for page in PAGES for p in patterns_of(page.read_text("utf-8"))})


def parsed(arguments):
    """The command's path and its parameters; no parameters where it is only mentioned by name."""
    command, words, path = COMMAND_LINE, list(arguments), []
    while words and hasattr(command, "commands"):
        path.append(words.pop(0))
        command = command.commands[path[-1]]
    return path, command.make_context(path[-1], words).params if words else {}


def test_there_is_a_page_for_every_method_and_none_besides():
    assert {path.stem for path in (ROOT / "docs" / "methods").glob("*.md")} == set(METHODS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_point_to_files_and_headings(page):
    for target in LINK.findall(without_code(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not heading or heading in anchors(file), target


def test_the_index_leads_to_every_page():
    index = ROOT / "docs" / "index.md"
    linked = {
        (index.parent / t.partition("#")[0]).resolve() for t in LINK.findall(index.read_text())
    }
    assert {p for p in PAGES if p.parent.name in ("docs", "methods")} - {index} <= linked


def test_every_module_has_its_room_in_the_design():
    rooms = (ROOT / "docs" / "design.md").read_text("utf-8").partition("## Decisions")[0]
    named = set(re.findall(r"`(?:\w+/)?(\w+)\.py`", rooms))
    modules = {
        p.stem.removesuffix("_shown")
        for r in ("common", "methods", "tools")
        for p in (ROOT / r).glob("[a-z]*.py")
    }
    assert named == modules


def test_every_benchmark_has_a_section_with_its_command():
    text = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    sections = text.split("\n## ")[1:]
    shown = {c[1] for section in sections for c in commands_of(section) if c[0] == "bench"}
    assert shown == set(found_benchmarks())


def test_commands_are_found_in_spans_and_blocks_but_not_patterns_of_commands():
    text = "Run `tools bench`, not `tools reproduce METHOD`.\n\n    A=1 python -m tools verify a\n"
    assert commands_of(text) == [("bench",), ("verify", "a")]
    assert commands_of("```\n$ pip install . && tools recipes  # all\n```\n") == [("recipes",)]
    assert len([command for command in COMMANDS if command[0] == "reproduce"]) > 100


@pytest.mark.parametrize("arguments", [c for c in COMMANDS if "camproxy" not in c], ids=shlex.join)
def test_commands_parse_and_name_recipes_and_settings_that_exist(arguments):
    require_sound(arguments)


@pytest.mark.parametrize("arguments", PATTERNS, ids=shlex.join)
def test_patterns_of_commands_have_the_arguments_and_options_that_they_name(arguments):
    assert parsed(arguments)[1]


def test_places_of_a_pattern_are_filled_and_options_that_do_not_exist_refused():
    text = "`tools table RUNS [--format <WORD>]`, `tools data prepare SET --archive FILE`"
    known, unknown = patterns_of(text)
    assert known == ("table", "1", "--format", "1")
    with pytest.raises(Exception, match="No such option: --archive"):
        parsed(unknown)


def require_sound(arguments):
    path, given = parsed(arguments)
    if not given:
        return
    if path == ["reproduce"]:
        recipe = paper_recipe(given["method"], given["dataset"], given["source"], given["variant"])
    elif path == ["train"]:
        recipe = METHODS[given["method"]].user_recipe
    elif path == ["bench"]:
        if given["name"] is not None:
            arguments_of(given["name"], given["changes"] or [])
        return
    elif path in (["recipes"], ["verify"]):
        assert given["method"] in (None, "common", *METHODS)
        return
    else:
        return
    override(recipe, parse_changes(given["changes"] or []))


@pytest.mark.parametrize("name", METHODS)
def test_changes_in_a_table_are_accepted_by_a_recipe_of_the_page_s_method(name):
    recipes = METHODS[name].recipes
    spans = [code for code in code_of(method_page(name)) if code.startswith("--")]
    for span in (s for s in spans if not PLACEHOLDER.search(s)):
        words = shlex.split(span)
        changes = [value for flag, value in pairwise(words) if flag == "--set"]
        assert any(_accepts(recipe, changes) for recipe in recipes), span
        if words[0] == "--variant":
            assert words[1] in {recipe.variant for recipe in recipes}, span


def _accepts(recipe, changes):
    try:
        override(recipe, parse_changes(changes))
    except UserError:
        return False
    return True


def rows_of_settings(name):
    """Name, default and range of every row."""
    section = method_page(name).partition("\n## Settings\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \| `([^`]*)` \| ([^|]*) \|", section, re.MULTILINE)


@pytest.mark.parametrize("name", METHODS)
def test_the_settings_table_holds_every_setting_with_its_default(name):
    fields = dataclasses.fields(METHODS[name].settings)
    rows = [(setting, default) for setting, default, _ in rows_of_settings(name)]
    assert rows == [(field.name, str(field.default)) for field in fields]


# Values in a range and out of it.
RANGES = {
    "0 to 1": ((0, 1), (-0.1, 1.1)),
    "0 to 1; not 0 in the released weights": ((0.1, 1), (-0.1, 0, 1.1)),
    "0 to below 1": ((0, 0.9), (-0.1, 1)),
    "0 to below eps, and eps + gap below 1": ((0, 0.1), (-0.1, 1)),  # which the whole recipe tells
    "above 0": ((0.1, 9), (-0.1, 0)),
    "above 0, up to 1": ((0.1, 1), (0, 1.1)),
    "0 or more": ((0, 9), (-1,)),
    "1 to 1,000": ((1, 1000), (0, 1001)),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_accepts_the_ranges_of_its_settings_table_and_no_more(name):
    recipe = METHODS[name].user_recipe
    for setting, _, words in rows_of_settings(name):
        inside, outside = RANGES.get(words, (re.findall(r"`([^`]+)`", words), ("another",)))
        assert inside, words
        for value in inside:
            override(recipe, parse_changes([f"settings.{setting}={value}"]))
        for value in outside:
            with pytest.raises(UserError, match=rf"settings\.{setting}\b"):
                override(recipe, parse_changes([f"settings.{setting}={value}"]))


@pytest.mark.parametrize("name", METHODS)
def test_settings_named_on_a_page_exist(name):
    fields = {field.name for field in dataclasses.fields(METHODS[name].settings)}
    assert set(re.findall(r"\bsettings\.([a-z_]+)", method_page(name))) <= fields


@pytest.mark.parametrize("name", METHODS)
def test_every_published_run_stands_on_its_page_with_its_numbers(name):
    text = method_page(name)
    rows = dict(re.findall(r"^\| `(tools reproduce [^`]+)` \| ([^|]+) \|", text, re.MULTILINE))
    lines = {line.strip() for line in text.splitlines()}
    for recipe in METHODS[name].recipes:
        command = f"tools reproduce {name} {recipe.dataset}"
        command += f" --source {recipe.source}" if recipe.source else ""
        command += f" --variant {recipe.variant}" if recipe.variant else ""
        paper = recipe.paper
        numbers = " / ".join(map(str, (paper.map, paper.rank1, paper.rank5, paper.rank10)))
        if recipe.dataset == "synthetic":
            assert command in lines
        else:
            assert rows[command] == (numbers if paper.map is not None else "not published")


@pytest.mark.parametrize("name", METHODS)
def test_every_published_run_is_a_row_of_the_results(name):
    rows = (ROOT / "docs" / "results.md").read_text("utf-8").splitlines()
    for recipe in METHODS[name].recipes:
        data = f"{recipe.dataset} from {recipe.source}" if recipe.source else recipe.dataset
        paper = recipe.paper
        scores = (paper.map, paper.rank1, paper.rank5, paper.rank10)
        numbers = "-" if paper.map is None else " / ".join(map(str, scores))
        start = f"| {name} | {data} | {recipe.variant or '-'} | {numbers} |"
        end = f"| {paper.source} |"
        assert any(row.startswith(start) and row.endswith(end) for row in rows), (start, end)


def series(text):
    """The numbers of every row and every column of the tables; of a cell with two the first."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [line.split("|")[1:-1] for line in table.splitlines()]
        for line in (*rows, *zip(*rows, strict=True)):
            found = (re.fullmatch(r" ([\d.]+)( / \d+)? ", cell) for cell in line)
            yield tuple(float(number[1]) for number in found if number)


@pytest.mark.parametrize("name", [name for name, spec in METHODS.items() if spec.curves])
def test_the_page_of_a_method_shows_the_curves_of_its_logs(name):
    text = method_page(name)
    assert f"methods/{name}/curves.py" in text
    numbers = {float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\.?\d*", text)}
    lines = set(series(text))
    for curve in METHODS[name].curves.values():
        for quantity, course in curve.items():
            values = tuple(round(100 * v, 1) if quantity == "map" else v for _, v in course)
            assert values in lines or quantity in ("map", "modules", "edges"), quantity
            assert set(values) <= numbers, quantity


def test_the_page_of_the_drawn_data_names_its_strengths_and_its_recipe():
    text = (ROOT / "docs" / "synthetic.md").read_text("utf-8")
    rows = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)`" + r" \| ([^|]+)" * 3, text, re.M)}
    for field in dataclasses.fields(Strength):
        values = [getattr(STRENGTHS[name], field.name) for name in ("easy", "default", "hard")]
        if isinstance(values[0], float) and values[0] != values[2]:
            assert [float(cell) for cell in rows[field.name]] == values
        else:
            assert field.name in rows
    recipe = paper_recipe("hhcl", "synthetic")
    batch, instances = recipe.sampling.batch_size, recipe.sampling.instances
    said = f"{batch} = {batch // instances} x {instances}, {recipe.sampling.iterations} iterations"
    assert f"{said}, {recipe.epochs} epochs" in text
    assert f"eps {recipe.clustering.eps.value}, min_samples {recipe.clustering.min_samples}" in text
    rates = (f"{rate:.0e}".replace("-0", "-") for rate in (recipe.lr, recipe.weight_decay))
    decay = "Adam {}, weight decay {}".format(*rates)
    assert f"{decay}, a tenth after {recipe.lr_factor.every} epochs" in text
    size, augment = f"{recipe.encoder.height} x {recipe.encoder.width}", recipe.augment
    assert f"{size}, padded by {augment.pad}, erased with probability {augment.erase}" in text
    assert f"| batch-norm groups | {recipe.bn_chunks} |" in text


def test_the_page_of_own_images_names_the_settings_that_every_method_starts_from():
    text = (ROOT / "docs" / "own_images.md").read_text("utf-8")
    for recipe in (spec.user_recipe for spec in METHODS.values()):
        sampling, eps = recipe.sampling, recipe.clustering.eps
        batch, instances = sampling.batch_size, sampling.instances
        assert f"{batch}: {batch // instances} clusters with {instances} images" in text
        assert f"{recipe.epochs} epochs of {sampling.iterations} batches" in text
        radius = getattr(eps, "value", None) or f"falling from {eps.start} by {eps.factor}"
        assert str(radius) in text, recipe.method


def test_the_snippets_of_the_python_page_are_a_program_that_runs(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "python_api.md").read_text("utf-8")
    (tmp_path / "page.py").write_text(
        "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.M | re.S))
    )
    monkeypatch.chdir(tmp_path)
    synth(Path("data"), ids=12)
    names = runpy.run_path("page.py")
    assert names["features"].shape == (len(names["samples"]), names["encoder"].num_features)
    assert len(names["pseudo"].labels) == len(names["samples"])
    assert names["found"].map == pytest.approx(names["result"]["best"]["map"])


@pytest.fixture
def eighth(tmp_path, monkeypatch):
    """The method of docs/add_a_method.md, taken from the page and made known."""
    page = (ROOT / "docs" / "add_a_method.md").read_text("utf-8")
    shown = re.findall(r"^### `(methods/\S+\.py)`\n\n```python\n(.*?)^```", page, re.M | re.S)
    for name, code in shown:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path / "methods")])
    spec = importlib.import_module("methods.camproxy").SPEC
    monkeypatch.setitem(METHODS, spec.name, spec)
    method = importlib.import_module("methods.camproxy.method")
    monkeypatch.setitem(BUILDS, spec.name, method.CamProxy)
    yield page, dict(shown), spec
    for name in [name for name in sys.modules if name.startswith("methods.camproxy")]:
        del sys.modules[name]


def test_the_method_of_the_guide_passes_its_tests_and_trains(eighth, tmp_path):
    page, shown, spec = eighth
    for arguments in commands_of(page):
        require_sound(arguments)
    space = runpy.run_path(str(tmp_path / "methods/camproxy/tests/test_camproxy.py"))
    facts = [fact for name, fact in space.items() if name.startswith("test_")]
    for fact in facts:
        fact()
    recipe = next(recipe for recipe in spec.recipes if recipe.dataset == "synthetic")
    run_small(small_recipe(recipe), tmp_path / "run", small_data())
    assert (len(shown), len(facts)) == (6, 3)
    assert RunDir(tmp_path / "run").load("last.pt")["progress"]["epoch"] == 1


def test_the_guide_counts_its_lines_right(eighth):
    page, shown, _ = eighth
    tests = [code for name, code in shown.items() if "/tests/" in name]
    files = [code for name, code in shown.items() if "/tests/" not in name]
    lines = [sum(code.count("\n") for code in group) for group in (files, tests)]
    code = sum(len(code_lines(text)) for text in files)
    assert f"{lines[0]} lines in five files, {code} of them" in page
    assert f"in {lines[0]} lines" in (ROOT / "docs" / "index.md").read_text("utf-8")
    assert f"a test of {lines[1]} lines" in page


def code_lines(text):
    """Numbers of the lines that are neither blank nor in a docstring."""
    numbers = {n for n, line in enumerate(text.splitlines(), start=1) if line.strip()}
    for node in ast.walk(ast.parse(text)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node) is not None:
            numbers -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return numbers
