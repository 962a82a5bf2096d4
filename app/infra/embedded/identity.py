"""As whom Postgres runs.

An ordinary user simply runs it. Postgres refuses user 0, so root needs a way round:

1. a data folder that belongs to somebody else: as that user;
2. in a user namespace, where root goes by another number (see `launch`): the files stay root's, and a folder
   below a 0700 one works, because for the kernel the server still is root's user (without root's powers);
3. where namespaces are refused (many containers): as `nobody`, to whom the data folder is given.

Each way is tried with a shell that looks at the very files, which costs a few milliseconds. No parent folder
is ever changed: when none of the ways can pass the parents, one line says so.
"""

import os
import pwd
import sys

from app.infra.embedded.binaries import PostgresPrograms
from app.infra.embedded.data_folder import DataFolder
from app.infra.embedded.errors import EmbeddedError, last_words
from app.infra.embedded.process import run

_LOOK = """
test -x "$0" || { echo "cannot run $0"; exit 1; }
test -w "$1" || { echo "cannot write to $1"; exit 1; }
"""


def choose(folder: DataFolder, programs: PostgresPrograms) -> str:
    """The identity (`self`, `namespace` or `UID:GID`) as which Postgres can run on this folder.

    May give the data folder to `nobody`. Raises `EmbeddedError` when there is no way.
    """
    if os.geteuid() != 0:
        _refuse_foreign(folder)
        return "self"
    uid, gid = folder.owner()
    if folder.cluster.exists() and folder.cluster.stat().st_uid != uid:
        folder.hand_over(uid, gid)  # somebody changed the owner of the folder alone
    if uid != 0:
        if problem := _problem(folder, programs, f"{uid}:{gid}"):
            raise EmbeddedError(f"as root, Postgres runs as the owner of {folder.path}, user {uid}: {problem}")
        return f"{uid}:{gid}"
    refused = _problem(folder, programs, "namespace") if sys.platform == "linux" else "there is none here"
    if refused is None:
        return "namespace"
    nobody = pwd.getpwnam("nobody")
    folder.hand_over(nobody.pw_uid, nobody.pw_gid)
    identity = f"{nobody.pw_uid}:{nobody.pw_gid}"
    if problem := _problem(folder, programs, identity):
        folder.hand_over(uid, gid)
        raise EmbeddedError(
            f"Postgres does not run as root: in a user namespace: {refused}; as nobody: {problem}; "
            "start as an ordinary user, or name a data folder that others can reach"
        )
    return identity


def _problem(folder: DataFolder, programs: PostgresPrograms, identity: str) -> str | None:
    look = ["/bin/sh", "-c", _LOOK, programs.postgres, str(folder.path)]
    status, output = run(look, identity=identity, cwd=folder.path)
    return last_words(output) if status else None


def _refuse_foreign(folder: DataFolder) -> None:
    for place in (folder.path, folder.cluster):
        if place.exists() and (owner := place.stat().st_uid) != os.geteuid():
            raise EmbeddedError(f"{place} belongs to user {owner}: start as that user, or name another data folder")
