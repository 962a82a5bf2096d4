"""Making a Postgres cluster: all of it, or nothing.

It is made in a sibling folder and renamed when everything is there (system tables, passwords, our role and
database) and has been synced. Killed half-way, it leaves a `postgres.new-…` that the next start removes. So a
folder named `postgres` is always whole.
"""

import shutil
import tempfile
from pathlib import Path

from app.infra.embedded.binaries import PostgresPrograms
from app.infra.embedded.data_folder import DataFolder, sync_folder
from app.infra.embedded.errors import EmbeddedError, last_words
from app.infra.embedded.process import run

ROLE = "opsconnect"
DATABASE = "opsconnect"
SUPERUSER = "postgres"
_DRAFT = "postgres.new-"
_ACCESS = """\
# Written by OpsConnect: TCP on this machine, with a password, and no other way in.
host all all 127.0.0.1/32 scram-sha-256
"""


def major_version(folder: DataFolder) -> int | None:
    """The major version of the Postgres that made the cluster in here; None when there is none yet."""
    try:
        text = (folder.cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        if folder.cluster.exists():
            raise EmbeddedError(
                f"{folder.cluster} is not a Postgres data folder: move it away to start with an empty one"
            ) from None
        return None
    return int(text.partition(".")[0])


def make(folder: DataFolder, programs: PostgresPrograms, identity: str) -> None:
    """Make the cluster with its roles and database. Raises `EmbeddedError` with what the program said."""
    for leftover in folder.path.glob(f"{_DRAFT}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder.path))
    try:
        folder.give(draft)
        _initialise(folder, programs, identity, draft)
        (draft / "pg_hba.conf").write_text(_ACCESS)
        # The role may make databases: tests copy one for themselves. Nothing of production relies on that.
        _alone(
            programs,
            identity,
            draft,
            f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{_password(folder, ROLE)}'",
            f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
        )
        # Nothing was synced until here; now all of it is, once, before the name says that it is whole.
        _run([programs.initdb, "--sync-only", "-D", str(draft)], identity, draft)
        draft.rename(folder.cluster)
        sync_folder(folder.path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def renew_passwords(folder: DataFolder, programs: PostgresPrograms, identity: str) -> None:
    """Give both roles passwords again when a file of theirs was lost: only we ever knew them."""
    if all(folder.has_password(role) for role in (ROLE, SUPERUSER)):
        return
    _alone(
        programs,
        identity,
        folder.cluster,
        *(f"ALTER ROLE {role} PASSWORD '{_password(folder, role)}'" for role in (ROLE, SUPERUSER)),
        durable=True,
    )


def _password(folder: DataFolder, role: str) -> str:
    # As a SQL literal it needs no escapes: secrets.token_urlsafe knows no quote.
    return folder.password(role)


def _initialise(folder: DataFolder, programs: PostgresPrograms, identity: str, draft: Path) -> None:
    folder.password(SUPERUSER)
    # Order by bytes, the same on every machine; from 17 on Postgres itself knows upper and lower case of all
    # letters.
    unicode = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if programs.major >= 17 else []
    command = [
        *(programs.initdb, "-D", str(draft), "--username", SUPERUSER),
        *("--pwfile", str(folder.password_file(SUPERUSER)), "--auth=scram-sha-256"),
        *("--encoding=UTF8", "--locale=C", *unicode),
        *("--data-checksums", "--no-instructions", "--no-sync"),
    ]
    _run(command, identity, draft)


def _alone(programs: PostgresPrograms, identity: str, cluster: Path, *statements: str, durable: bool = False) -> None:
    """Run statements, one a line, in a Postgres without network; no password stands in a command line."""
    fsync = "on" if durable else "off"
    command = [
        *(programs.postgres, "--single", "-D", str(cluster)),
        *(
            "-c",
            f"fsync={fsync}",
            "-c",
            "password_encryption=scram-sha-256",
            "-c",
            "log_min_error_statement=panic",
        ),
        "postgres",
    ]
    output = _run(command, identity, cluster, "".join(f"{statement}\n" for statement in statements))
    if "ERROR:" in output:  # it goes on after an error and ends with status 0
        raise EmbeddedError(f"could not set up the database in {cluster}: {last_words(output)}")


def _run(command: list[str], identity: str, cwd: Path, stdin: str = "") -> str:
    status, output = run(command, identity=identity, cwd=cwd, stdin=stdin)
    if status != 0:
        raise EmbeddedError(f"could not make the database in {cwd.parent}: {last_words(output)}")
    return output
