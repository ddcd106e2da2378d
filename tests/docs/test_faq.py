"""The errors that the FAQ quotes are ones that vitjax says."""

import ast
import re

import pytest
from commands import REPO

QUOTED = re.findall(r'^### "(.*)"$', (REPO / "vitjax/docs/faq.md").read_text(), re.MULTILINE)


def constant_text(node):
    """What a string or an f-string says, with … for its values."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(constant_text(v) if isinstance(v, ast.Constant) else "…" for v in node.values)


def said():
    """All strings of the package, one a line."""
    return "\n".join(
        constant_text(node)
        for path in (REPO / "vitjax").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant | ast.JoinedStr)
    )


@pytest.fixture(scope="module")
def texts():
    return said()


@pytest.mark.parametrize("message", QUOTED)
def test_vitjax_says_so(message, texts):
    pattern = ".*?".join(re.escape(part) for part in message.split("…"))
    assert re.search(pattern, texts), message


def test_ten_are_answered():
    headings = re.findall("^### ", (REPO / "vitjax/docs/faq.md").read_text(), re.MULTILINE)
    assert len(headings) == 10
    assert len(QUOTED) == 9
