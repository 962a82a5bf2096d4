"""Dockerfile and docker-compose.yaml hold together with each other, with the settings and with the API."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from app.adapters.web.scopes import OPEN_PATHS
from app.infra.engine import STOP_SECONDS
from app.infra.worker_port import LAST_ANSWERS_SECONDS
from app.settings import Settings

BIN = Path(sys.executable).parent

SETTINGS = {f"OPSCONNECT_{name.upper()}" for name in Settings.model_fields}
OTEL = {"OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT"}

DEMANDED = re.compile(r"\$\{([A-Z_]+):\?[^}]+\}")
EXACT_TAG = re.compile(r"[a-z0-9./-]+:\d+\.\d+(\.\d+)?(-[a-z]+)*(@sha256:[0-9a-f]{64})?")
HOST = re.compile(r"(?:@|://)([a-z]+):(\d+)")


@pytest.fixture(scope="module")
def services(repository: Path) -> dict[str, dict[str, Any]]:
    """The services of the compose file."""
    document = YAML(typ="safe").load(repository / "docker-compose.yaml")
    found: dict[str, dict[str, Any]] = document["services"]
    return found


@pytest.fixture(scope="module")
def instructions(repository: Path) -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, what follows), with continued lines joined."""
    text = re.sub(r"^#.*\n", "", (repository / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def test_hadolint_finds_nothing_in_the_dockerfile(repository: Path) -> None:
    """And no line of it is excused."""
    subprocess.run([str(BIN / "hadolint"), "--no-color", "Dockerfile"], cwd=repository, check=True)
    assert "hadolint ignore" not in (repository / "Dockerfile").read_text()


def test_the_compose_specification_accepts_the_compose_file(repository: Path) -> None:
    """By the schema that comes with the checker; nothing is fetched."""
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "docker-compose.yaml"]
    subprocess.run(command, cwd=repository, check=True, stdout=subprocess.DEVNULL)


def test_every_image_has_an_exact_tag(services: dict[str, dict[str, Any]], instructions: list[tuple[str, str]]) -> None:
    """The same tag means the same program tomorrow; what we build ourselves has none to pin."""
    images = [service["image"] for service in services.values() if "build" not in service]
    bases = [rest.split()[0] for instruction, rest in instructions if instruction == "FROM"]
    assert images
    assert [image for image in images + bases if not EXACT_TAG.fullmatch(image)] == []
    assert len(set(bases)) == 1, "the virtual environment moves from stage to stage with its interpreter"


def test_every_variable_that_a_process_of_ours_gets_is_known(
    services: dict[str, dict[str, Any]], repository: Path
) -> None:
    """A setting, a variable of OpenTelemetry, or a secret that the example's sources name."""
    example = set(re.findall(r"env:([A-Za-z_]+)", (repository / "opsconnect.example.yaml").read_text()))
    for name in ("api", "worker", "migrate"):
        assert set(services[name]["environment"]) <= SETTINGS | OTEL | example
    assert example <= set(services["api"]["environment"])


def test_no_password_is_written_down_or_has_a_default(services: dict[str, dict[str, Any]]) -> None:
    """Each comes from .env.compose, and its absence is an error that says what to do."""
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            secret = any(word in name for word in ("PASSWORD", "SECRET", "KEY"))
            held = re.search(r"://\w*:(.*)@", value)
            if secret or held:
                assert DEMANDED.fullmatch(held[1] if held else value), name
                assert "make up" in value, name


def test_every_address_names_a_service(services: dict[str, dict[str, Any]]) -> None:
    """With the port on which that technology listens."""
    ports = {"db": "5432", "redis": "6379", "jaeger": "4318"}
    addresses = [
        address
        for service in services.values()
        for value in service.get("environment", {}).values()
        for address in HOST.findall(DEMANDED.sub("x", value))
    ]
    assert set(addresses) == set(ports.items())
    assert set(ports) <= set(services)


def test_the_settings_take_what_compose_gives(
    services: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a password for each placeholder, the URLs are valid."""
    for name, value in services["api"]["environment"].items():
        monkeypatch.setenv(name, DEMANDED.sub("0" * 48, value))
    settings = Settings(_env_file=None)
    assert settings.database_url
    assert settings.redis_url
    assert settings.admin_key
    for name, value in services["worker"]["environment"].items():
        monkeypatch.setenv(name, DEMANDED.sub("0" * 48, value))
    assert Settings(_env_file=None).database_url == settings.database_url
    asked = services["worker"]["healthcheck"]["test"][-1]
    assert f"'127.0.0.1', {Settings(_env_file=None).worker_port}, " in asked


def test_only_the_api_and_the_traces_are_published_and_only_on_this_machine(
    services: dict[str, dict[str, Any]],
) -> None:
    """The API elsewhere only when somebody says so."""
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "api": ["${OPSCONNECT_PUBLISH:-127.0.0.1}:8000:8000"],
        "jaeger": ["127.0.0.1:16686:16686"],
    }


def test_the_port_is_the_same_everywhere(
    services: dict[str, dict[str, Any]], instructions: list[tuple[str, str]]
) -> None:
    """The settings' default, the image's EXPOSE and both health checks."""
    port = str(Settings.model_fields["port"].default)
    assert ("EXPOSE", port) in instructions
    checks = [next(rest for instruction, rest in instructions if instruction == "HEALTHCHECK")]
    checks.append(str(services["api"]["healthcheck"]["test"]))
    assert all(re.search(rf"\b{port}\b", check) for check in checks)


def test_health_is_asked_at_paths_that_need_no_key(
    services: dict[str, dict[str, Any]], instructions: list[tuple[str, str]]
) -> None:
    """The image asks whether it lives, compose whether it is ready."""
    check = next(rest for instruction, rest in instructions if instruction == "HEALTHCHECK")
    asked = (services[name]["healthcheck"]["test"] for name in ("api", "worker"))
    paths = re.findall(r"'(/[^']*)'", " ".join([check, *map(str, asked)]))
    assert paths == ["/api/v1/health/live", "/api/v1/health/ready", "/api/v1/health/ready"]
    assert set(paths) <= OPEN_PATHS


def test_the_health_checks_are_programs_that_python_understands(
    services: dict[str, dict[str, Any]], instructions: list[tuple[str, str]]
) -> None:
    """Their exit code says no where nobody answers."""
    check = next(rest for instruction, rest in instructions if instruction == "HEALTHCHECK")
    inside = json.loads(check[check.index("CMD ") + 4 :])
    for command in (inside, *(services[name]["healthcheck"]["test"][1:] for name in ("api", "worker"))):
        assert command[:3] == ["python", "-IS", "-c"]
        program = re.sub(r"\b800[01]\b", "1", command[3])
        done = subprocess.run([sys.executable, "-IS", "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "ConnectionRefusedError" in done.stderr


def test_the_image_starts_the_server_as_nobody_in_particular(instructions: list[tuple[str, str]]) -> None:
    """In exec form, so that signals reach it, and with a numeric user, so that platforms can see it is not root."""
    last = dict(instructions)
    assert json.loads(last["ENTRYPOINT"]) == ["opsconnect"]
    assert json.loads(last["CMD"]) == ["serve", "--host", "0.0.0.0"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"])
    assert last["STOPSIGNAL"] == "SIGTERM"


def test_the_image_leaves_servers_and_tools_of_developers_out(instructions: list[tuple[str, str]]) -> None:
    """Exported with hashes, without the extra `embedded`, without groups; the last stage takes the result alone."""
    runs = " ".join(rest for instruction, rest in instructions if instruction == "RUN")
    export = shlex.split(next(part for part in runs.split("&&") if "poetry export" in part))
    assert export[1:] == ["export", "--output", "requirements.txt"]
    assert "--require-hashes" in runs
    last_stage = instructions[max(n for n, (name, _) in enumerate(instructions) if name == "FROM") :]
    copies = [rest for instruction, rest in last_stage if instruction == "COPY"]
    assert copies == ["--from=builder /opt/opsconnect /opt/opsconnect"]


def test_the_image_gets_everything_that_it_copies(instructions: list[tuple[str, str]], repository: Path) -> None:
    """`.dockerignore` keeps everything out but what is named."""
    let_in = {line[1:] for line in (repository / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        place
        for instruction, rest in instructions
        if instruction == "COPY" and not rest.startswith("--from")
        for place in rest.split()[:-1]
    }
    assert copied == let_in
    assert all((repository / place).exists() for place in copied)


def test_every_container_is_contained(services: dict[str, dict[str, Any]]) -> None:
    """Nothing written but volumes and /tmp, no capability, no way to get one, and no endless log."""
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert "/tmp" in service["tmpfs"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"max-size", "max-file"} <= set(service["logging"]["options"]), name


def test_nothing_serves_before_the_migrations_are_done(services: dict[str, dict[str, Any]]) -> None:
    """And the migrations wait for a database that answers."""
    for name in ("api", "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["migrate"]["depends_on"]["db"]["condition"] == "service_healthy"
    assert services["migrate"]["restart"] != "unless-stopped", "it would run again and again"


def test_everybody_has_more_time_to_stop_than_he_takes(services: dict[str, dict[str, Any]]) -> None:
    """The drain is finished before somebody loses patience, and who ends by himself is started again."""
    drain = sum(setting.default for name, setting in Settings.model_fields.items() if name.startswith("drain_"))
    assert int(services["api"]["stop_grace_period"].removesuffix("s")) >= 2 * drain
    working = Settings.model_fields["worker_drain_seconds"].default + STOP_SECONDS
    working += LAST_ANSWERS_SECONDS + Settings.model_fields["drain_telemetry_seconds"].default
    assert int(services["worker"]["stop_grace_period"].removesuffix("s")) >= 1.5 * working
    assert {services[name]["restart"] for name in ("api", "worker")} == {"unless-stopped"}
