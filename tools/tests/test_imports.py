"""Who may import whom, read from the import statements."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "methods", "tools")
FILES = sorted(path.relative_to(ROOT) for top in PACKAGES for path in (ROOT / top).rglob("*.py"))
CODE = [path for path in FILES if "tests" not in path.parts]
# So that --help, --dry-run and refusals need not load what they do not use, and loading can be
# interrupted.
LATE = ("__main__", "cli", "cli_data", "reproduce")
LATE_IMPORTS = tuple(Path("tools", f"{name}.py") for name in LATE)

# Where a package may be imported by code: below one of these paths.
ALLOWED = {
    "torch.distributed": ("common/team.py",),
    "PIL": ("common/data/", "tools/benchmarks/"),
    "faiss": ("common/clustering/",),
    "infomap": ("common/clustering/infomap.py",),
    "sklearn": ("common/clustering/", "common/evaluator/", "tools/benchmarks/"),
    "typer": ("tools/",),
    "rich": ("tools/",),
    "matplotlib": ("tools/",),
}
OF_LOSSES = {"torch", "math", "common.losses"}


@cache
def tree(path):
    return ast.parse((ROOT / path).read_text("utf-8"))


@cache
def imported(path):
    """Full names of the modules, and of what is taken from them, that a file names."""
    return names_in(tree(path), path)


@cache
def imported_late(path):
    """What of it a file imports when one of its functions is called."""
    functions = [node for node in statements(tree(path)) if isinstance(node, ast.FunctionDef)]
    return [name for function in functions for name in names_in(function, path)]


def statements(node):
    """A node and all statements within; many times fewer than with their expressions."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from statements(child)


def names_in(code, path):
    names = []
    for node in statements(code):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def under(name, module):
    return name == module or name.startswith(f"{module}.")


def module_name(path):
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def modules_of(names):
    """Our modules among what a file names."""
    found = set()
    for name in names:
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        found |= {name} if name else set()
    return found


def ours(names):
    return [name for name in names if name.split(".")[0] in PACKAGES]


def offenders(paths, forbidden):
    """Files and what they import against a rule, given as a predicate of path and name."""
    return [(str(path), name) for path in paths for name in imported(path) if forbidden(path, name)]


def test_common_imports_neither_methods_nor_tools_and_methods_no_tools():
    above = {"common": ("methods", "tools"), "methods": ("tools",), "tools": ()}
    assert offenders(CODE, lambda p, name: name.split(".")[0] in above[p.parts[0]]) == []


def test_a_method_imports_no_other_method():
    def foreign(path, name):
        return under(name, "methods") and not under(name, f"methods.{path.parts[1]}")

    folders = [path for path in CODE if path.parts[0] == "methods" and len(path.parts) > 2]
    assert {path.parts[1] for path in folders} >= {"spcl", "hhcl"}
    assert offenders(folders, foreign) == []


def test_the_foundations_of_common_stand_alone():
    below: list[str] = []  # each may stand on those before it
    for name in ("errors", "types", "ranges", "schedules", "recipe", "recipe_text"):
        names = ours(imported(Path(f"common/{name}.py")))
        assert [n for n in names if not any(under(n, module) for module in below)] == []
        below.append(f"common.{name}")


def test_a_loss_needs_torch_and_the_shared_losses_only():
    losses = [path for path in CODE if path.name == "loss.py"]
    assert losses
    assert offenders(losses, lambda p, name: not any(under(name, m) for m in OF_LOSSES)) == []


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_stay_where_they_belong(package):
    outside = [path for path in CODE if not path.as_posix().startswith(ALLOWED[package])]
    assert offenders(outside, lambda p, name: under(name, package)) == []


def test_nothing_is_imported_inside_functions():
    late = {str(path): imported_late(path) for path in FILES if path not in LATE_IMPORTS}
    assert {path: names for path, names in late.items() if names} == {}


def test_what_draws_the_report_is_not_loaded_before_a_run_begins():
    loaded, waiting = set(), ["tools.reproduce"]
    while waiting:
        path = MODULES[waiting.pop()]
        names = set(imported(path)) - set(imported_late(path))
        assert not any(under(name, slow) for name in names for slow in ("matplotlib", "sklearn"))
        waiting += modules_of(names) - loaded
        loaded |= modules_of(names)
    assert "common.training" in loaded


def test_no_circle_of_imports():
    graph = {module_name(path): modules_of(imported(path)) for path in CODE}
    finished, open_ = set(), []

    def visit(module):
        if module in open_:
            pytest.fail(" -> ".join([*open_[open_.index(module) :], module]))
        if module not in finished:
            open_.append(module)
            for other in sorted(graph.get(module, ())):
                visit(other)
            finished.add(open_.pop())

    for module in sorted(graph):
        visit(module)


def test_no_file_alters_the_path_or_goes_by_a_forbidden_name():
    texts = {path: (ROOT / path).read_text("utf-8") for path in CODE}
    assert [path for path, text in texts.items() if "sys.path" in text] == []
    names = {part for path in CODE for part in (*path.parts[:-1], path.stem)}
    assert names & {"utils", "util", "core", "base", "misc", "helpers"} == set()
