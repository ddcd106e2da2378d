"""Each row of the page on what vitjax survives names tests, and they exist."""

import ast
import functools
import re

import pytest
from commands import REPO

PAGE = (REPO / "vitjax/docs/survives.md").read_text()
ROWS = [
    line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| what h")
]


@functools.cache
def names(file):
    """The tests of a file, and the texts in it, which name cases."""
    nodes = list(ast.walk(ast.parse((REPO / file).read_text())))
    tests = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return tests, {node.value for node in nodes if isinstance(node, ast.Constant)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:40])
def test_a_row_names_tests_that_exist(row):
    found = re.findall(r"`(tests/\w[\w/]*\.py)::(test_\w+)(?:\[([^]]+)\])?`", row)
    assert len(found) == row.count("::") > 0
    for file, test, case in found:
        tests, texts = names(file)
        assert test in tests
        assert not case or case in texts


def test_there_are_many_rows():
    assert len(ROWS) > 35
