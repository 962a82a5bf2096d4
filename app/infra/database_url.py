"""Where the database is: as configured, else the embedded one that runs in the data folder."""

from app.core.domain.errors import Fault, Invalid
from app.settings import Settings


def find(settings: Settings) -> str:
    """Give the URL that every command uses. Raises `Invalid` with one line when there is none."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    from app.infra.embedded import running

    servers = running(settings.data_dir)
    if servers is None:
        raise Invalid(
            [
                Fault(
                    "OPSCONNECT_DATABASE_URL",
                    f"is not set, and no 'opsconnect dev' runs on {settings.data_dir}; set the one or start the other",
                )
            ]
        )
    return servers.database_url
