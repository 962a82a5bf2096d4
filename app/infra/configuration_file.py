"""Reading YAML 1.2 (and so JSON) into a document whose values know their lines; nothing in a file is more than data."""

import sys
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from app.core.domain.document import Document, DocumentPath, shown
from app.core.domain.errors import Fault, Invalid

LARGEST_BYTES = 1_000_000
DEEPEST = 32
MOST_VALUES = 100_000
"""With aliases written out, which a small file can make any number of."""

_TAG = "tag:yaml.org,2002:"

# What ruamel.yaml says, and what that means to the person who wrote the file.
_MEANING = {
    "mapping values are not allowed here": "there is one ': ' too many; a text with ': ' in it needs quotes, "
    "and keys below each other need the same indent",
    "found character '\\t'": "there is a tab; indent with spaces",
    "cannot start any token": "a text that begins with this character needs quotes",
    "expected a single document": "a second document begins; keep one in a file, without '---' between",
    "found undefined alias": "a text that begins with * needs quotes",
    "unexpected end of stream": "the file ends within a text; close its quote",
    "expected ',' or": "a comma or a closing bracket is missing",
    "'<stream end>'": "the file ends within brackets; close them",
    "expected <block end>": "the indent fits nothing above; keys and items of one list need the same indent",
    "maximum depth": f"this is nested more than {DEEPEST} deep",
}


def read_file(path: str) -> Document:
    """Read a file, or standard input for `-`. Raises `Invalid` with file, line and column, and what to do."""
    name = "standard input" if path == "-" else path
    try:
        content = sys.stdin.buffer.read(LARGEST_BYTES + 1) if path == "-" else content_of(Path(path))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Invalid([Fault(name, f"cannot be read: {reason}; name a file with -f FILE")]) from None
    return parse(content, name)


def content_of(path: Path) -> bytes:
    """Read a file, or of a file that is too large as much as shows that. Raises `OSError` and `ValueError`."""
    with path.open("rb") as file:
        return file.read(LARGEST_BYTES + 1)


def parse(content: bytes, name: str, *, begins: str = "it begins with sources:") -> Document:
    """Parse a document that came from anywhere; `name` is what its faults call it. Raises `Invalid`."""
    if len(content) > LARGEST_BYTES:
        raise Invalid([Fault(name, f"is larger than {LARGEST_BYTES:,} bytes; split it, and apply the parts")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Invalid([Fault(f"{name}, line {line}", "is not UTF-8; save the file as UTF-8")]) from None
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = DEEPEST
    yaml.composer.warn_double_anchors = False
    try:
        node = yaml.compose(text)
    except YAMLError as error:
        raise Invalid([_syntax_fault(name, text, error)]) from None
    except Exception:  # noqa: BLE001 (the parser has holes of its own, such as "\\UFFFFFFFF")
        raise Invalid([Fault(name, "is not YAML, at a place that cannot be told; look for odd escapes")]) from None
    if node is None:
        raise Invalid([Fault(name, f"is empty; {begins}")])
    if not isinstance(node, MappingNode):
        raise Invalid([Fault(_place(name, node), f"must be a mapping at the top; {begins}")])
    return _Values(name, yaml.constructor).document(node)


class _Values:
    """Turns composed nodes into plain values, remembering where each stands."""

    def __init__(self, name: str, scalars: SafeConstructor) -> None:
        self._name = name
        self._lines: dict[DocumentPath, int] = {}
        self._faults: list[Fault] = []
        self._left = MOST_VALUES
        self._scalars = scalars

    def document(self, top: MappingNode) -> Document:
        values = self._value(top, ())
        if self._faults:
            raise Invalid(self._faults)
        return Document(values, self._lines)

    def _value(self, node: Node, path: DocumentPath) -> object:
        self._left -= 1
        if self._left < 0:
            raise Invalid([Fault(self._name, f"has more than {MOST_VALUES:,} values, counting what aliases repeat")])
        if len(path) > DEEPEST:
            raise Invalid(
                [Fault(_place(self._name, node), f"is nested more than {DEEPEST} deep, or an alias in itself")]
            )
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        self._refuse(node, "has a tag; only plain values have a meaning here")
        return None

    def _mapping(self, node: MappingNode, path: DocumentPath) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            if key in values:
                first = self._lines[*path, key]
                self._refuse(key_node, f'"{shown(key)}" is there twice, first in line {first}; remove one')
                continue
            # A fault about a key is looked for where the key is, not where its value begins.
            self._lines[*path, key] = key_node.start_mark.line + 1
            values[key] = self._value(value_node, (*path, key))
        return values

    def _key(self, node: Node) -> str | None:
        if isinstance(node, ScalarNode) and node.tag == f"{_TAG}str":
            return _text(node)
        merge = node.tag == f"{_TAG}merge"
        self._refuse(node, "<< is not in YAML 1.2; write the keys out" if merge else "a key must be a text; quote it")
        return None

    def _scalar(self, node: ScalarNode) -> object:
        match str(node.tag).removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return self._constructed(node, self._scalars.construct_yaml_bool)
            case "int":
                return self._constructed(node, self._scalars.construct_yaml_int)
            case "float":
                return self._constructed(node, self._scalars.construct_yaml_float)
            case "str" | "timestamp" | "value":
                return _text(node)
            case _:
                self._refuse(node, "has a tag; only plain values have a meaning here")
        return None

    def _constructed(self, node: ScalarNode, construct: Callable[[ScalarNode], object]) -> object:
        try:
            return construct(node)
        except (ValueError, LookupError, AttributeError):
            self._refuse(node, "cannot be read; put quotes around it if it is a text")
            return None

    def _refuse(self, node: Node, message: str) -> None:
        self._faults.append(Fault(_place(self._name, node), message))


def _text(node: ScalarNode) -> str:
    # JSON writes characters beyond 16 bits as two halves, which belong together; a half alone is replaced.
    return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _place(name: str, node: Node) -> str:
    return f"{name}, line {node.start_mark.line + 1}, column {node.start_mark.column + 1}"


def _syntax_fault(name: str, text: str, error: YAMLError) -> Fault:
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        return Fault(f"{name}, line {line}, column {column}", "holds a control character; remove it")
    if not isinstance(error, MarkedYAMLError):
        return Fault(name, "is not YAML")
    mark = error.problem_mark or error.context_mark
    where = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
    said = " ".join(text for text in (error.context, error.problem) if text)
    meaning = next((meaning for symptom, meaning in _MEANING.items() if symptom in said), shown(str(error.problem)))
    return Fault(where, f"is not YAML: {meaning}")
