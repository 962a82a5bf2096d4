"""What proves somebody genuine is compared by `hmac.compare_digest`, which no test of behaviour can tell from `==`."""

import ast
from pathlib import Path

WHERE_PROOFS_ARE_COMPARED = ("app/core/catalog/signatures.py", "app/adapters/web/guard.py")
WORDS = ("digest", "signature", "secret", "given", "key")


def names(node: ast.AST) -> set[str]:
    """Every name and attribute in an expression, without those of what is called on the way to a length or a type."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.add(part.id.lstrip("_"))
        elif isinstance(part, ast.Attribute):
            found.add(part.attr.lstrip("_"))
    return found


def test_no_proof_is_compared_by_equality(repository: Path) -> None:
    for path in WHERE_PROOFS_ARE_COMPARED:
        tree = ast.parse((repository / path).read_text())
        called = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert any(isinstance(call.func, ast.Attribute) and call.func.attr == "compare_digest" for call in called), path
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq | ast.In) for op in node.ops):
                compared = {name for part in (node.left, *node.comparators) for name in names(part)}
                proofs = {name for name in compared if any(name.endswith(word) for word in WORDS)}
                assert not proofs, f"{path}:{node.lineno} compares {sorted(proofs)} in time that depends on them"
