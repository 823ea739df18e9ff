"""A method is a memory bank, a loss and the hooks: little code, none of it twice."""

import ast
import itertools
from pathlib import Path

import pytest

import methods
from methods import METHODS

MOST_LINES = 263  # of code, docstrings and comments not counted; DSGL is the largest
DATA = ("recipes.py", "curves.py")  # numbers of papers and logs
CHECKS = ("cases.py",)  # how stored cases are run
SHARED = 6  # equal lines in a row that would be worth one place in common/


def code_lines(path):
    """Source lines without docstrings, comments and blank ones."""
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    scopes = [
        n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    documented = [n.body[0] for n in scopes if ast.get_docstring(n, clean=False) is not None]
    left_out = {line for d in documented for line in range(d.lineno, (d.end_lineno or 0) + 1)}
    lines = (line.strip() for n, line in enumerate(text.splitlines(), 1) if n not in left_out)
    return [line for line in lines if line and not line.startswith("#")]


def files_of(name, without):
    folder = Path(methods.__file__).parent / name
    return [path for path in sorted(folder.glob("*.py")) if path.name not in without]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_few_lines_of_code(name):
    lines = [line for path in files_of(name, DATA + CHECKS) for line in code_lines(path)]
    assert len(lines) <= MOST_LINES


def test_no_two_methods_share_six_lines():
    runs = {}
    for name in METHODS:
        for path in files_of(name, DATA + CHECKS):
            lines = [line for line in code_lines(path) if "import" not in line]
            starts = range(len(lines) - SHARED + 1)
            runs.setdefault(name, set()).update(tuple(lines[i : i + SHARED]) for i in starts)
    for one, other in itertools.combinations(METHODS, 2):
        assert not runs[one] & runs[other], (one, other)
