import ast
import re
from pathlib import Path

from shop.words import CHINESE

SHOP = Path(__file__).resolve().parent.parent / "shop"


def test_chinese__complete():
    """
    Each text that the code or a template names has a Chinese one.
    """
    texts = set()
    for path in SHOP.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_":
                if isinstance(node.args[0], ast.Constant):
                    texts.add(node.args[0].value)
    for path in SHOP.glob("templates/*.html"):
        texts.update(re.findall(r'\b_\("([^"]+)"', path.read_text("utf-8")))

    assert len(texts) > 20
    assert texts - CHINESE.keys() == set()
