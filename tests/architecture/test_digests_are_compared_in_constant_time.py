"""What proves somebody genuine is compared by `hmac.compare_digest`, which no test of behaviour can tell from `==`."""

import ast
from pathlib import Path

WHERE_PROOFS_ARE_COMPARED = (
    "app/core/catalog/keyed_digests.py",
    "app/core/catalog/shared_secrets.py",
    "app/core/use_cases/offer_secret.py",
    "app/core/use_cases/authenticate.py",
)
PROOFS = ("digest", "hexdigest", "signature", "secret", "known", "given", "key")


def name_of(operand: ast.expr) -> str:
    """What stands on one side of a comparison: a name, the last part of a dotted one, or what is called."""
    if isinstance(operand, ast.Call):
        return name_of(operand.func)
    if isinstance(operand, ast.Attribute):
        return operand.attr
    return operand.id if isinstance(operand, ast.Name) else ""


def test_no_proof_is_compared_by_equality(repository: Path) -> None:
    for path in WHERE_PROOFS_ARE_COMPARED:
        nodes = list(ast.walk(ast.parse((repository / path).read_text())))
        assert "compare_digest" in {name_of(node.func) for node in nodes if isinstance(node, ast.Call)}, path
        for node in nodes:
            if isinstance(node, ast.Compare) and not isinstance(node.ops[0], ast.Is | ast.IsNot):
                proofs = {name_of(side) for side in (node.left, *node.comparators)}.intersection(PROOFS)
                assert not proofs, f"{path}:{node.lineno} compares {sorted(proofs)} in time that depends on them"
