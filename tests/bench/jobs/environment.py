"""The other queues' environment, `.venv/bench`: nobody but this benchmark needs them, so the tests need not wait."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from tests.e2e.api import ROOT

LOCKED = Path(__file__).with_name("peers.txt")
SHOWN = ("celery", "redis", "hiredis", "procrastinate", "psycopg", "dbos", "SQLAlchemy")
_PIP = ("-m", "pip", "--disable-pip-version-check")


def peers_python(folder: Path = ROOT / ".venv" / "bench") -> Path:
    """Give the interpreter that has them, installed as locked, with every hash checked."""
    python, mark = folder / "bin" / "python", folder / "installed"
    wanted = sha256(LOCKED.read_bytes() + sys.version.encode()).hexdigest()
    if not mark.exists() or mark.read_text() != wanted:
        mark.unlink(missing_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, *_PIP, "install", "--quiet", "--require-hashes", "-r", LOCKED], check=True)
        mark.write_text(wanted)
    return python


def versions(python: Path) -> dict[str, str]:
    """Say which versions they are."""
    ask = "import sys\nfrom importlib.metadata import version\nprint(*map(version, sys.argv[1:]))"
    said = subprocess.run([python, "-c", ask, *SHOWN], check=True, capture_output=True, text=True).stdout
    return {f"{name} (peers)": version for name, version in zip(SHOWN, said.split(), strict=True)}
