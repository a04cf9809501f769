"""The container files, checked without an engine: what they name exists, and what they start runs."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.database import migrate
from app.core.settings import Settings
from tests.support.tree import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
BIN = Path(sys.executable).parent
Stage = list[tuple[str, str]]


def stages() -> dict[str, Stage]:
    """Instructions by stage, those of the stage that it starts from first."""
    found: dict[str, Stage] = {}
    name = ""
    for line in DOCKERFILE.splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            source, _, name = rest.split()
            found[name] = list(found.get(source, []))
        elif instruction and not instruction.startswith("#"):
            found[name].append((instruction, rest.strip()))
    return found


def last(stage: Stage, instruction: str) -> str:
    return [rest for name, rest in stage if name == instruction][-1]


def commands() -> dict[str, list[str]]:
    """What is started in our containers: by the images themselves and by the compose file."""
    of_images = {target: json.loads(last(stages()[target], "CMD")) for target in ("api", "worker")}
    return of_images | {name: service["command"] for name, service in OURS.items() if "command" in service}


def health_checks() -> dict[str, list[str]]:
    of_images = {t: json.loads(last(stages()[t], "HEALTHCHECK").partition("CMD ")[2]) for t in ("api", "worker")}
    return of_images | {n: s["healthcheck"]["test"][1:] for n, s in OURS.items() if "test" in s.get("healthcheck", {})}


def here(command: list[str]) -> list[str]:
    """The same command in this environment."""
    program, *arguments = command
    return [{"python": sys.executable, "celery": f"{BIN}/celery"}.get(program, program), *arguments]


@pytest.mark.parametrize("source", [s for _, r in stages()["base"] if _ == "COPY" for s in r.split()[:-1]])
def test_what_is_copied_exists_and_is_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    assert f"!{source}" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("target", ["api", "worker"])
def test_an_image_runs_as_nobody_special_and_reports_its_health(target: str) -> None:
    stage = stages()[target]
    assert int(last(stage, "USER")) > 1000
    assert (
        last(stage, "VOLUME")
        == dict(pair.split("=", 1) for pair in last(stages()["base"], "ENV").split())["ENXUTO_DATA_DIR"]
    )
    assert last(stage, "HEALTHCHECK")
    assert last(stage, "WORKDIR") != "/src", "the sources there would hide the installed package"


def test_the_api_image_holds_no_numeric_package() -> None:
    installs = [rest for name, rest in stages()["api"] if name == "RUN" and "pip install" in rest]
    assert len(installs) == 1
    assert installs[0].endswith("'.[service]'"), "the extras [local] and [all] bring numpy and onnxruntime"


@pytest.mark.parametrize("name", sorted(commands()))
def test_what_a_container_starts_is_there(name: str) -> None:
    program, *arguments = commands()[name]
    if program == "python":
        assert arguments[0] == "-m"
        assert importlib.util.find_spec(f"{arguments[1]}.__main__" if arguments[1] == "app" else arguments[1])
    else:
        ran = subprocess.run([*here(commands()[name]), "--help"], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("name", sorted(name for name, command in commands().items() if command[0] == "python"))
def test_what_a_container_starts_runs_until_it_is_told_to_stop(name: str, tmp_path: Path) -> None:
    migrate(Settings(data_dir=tmp_path))
    environment = {"PATH": "/usr/bin:/bin", "ENXUTO_DATA_DIR": str(tmp_path), "ENXUTO_PORT": "0"}
    process = subprocess.Popen(here(commands()[name]), env=environment, stderr=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3)
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM), errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("name", sorted(health_checks()))
def test_a_health_check_fails_where_nothing_runs(name: str, tmp_path: Path) -> None:
    environment = {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "ENXUTO_DATA_DIR": str(tmp_path),
        "ENXUTO_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    ran = subprocess.run(here(health_checks()[name]), capture_output=True, text=True, timeout=60, env=environment)
    assert ran.returncode != 0
    assert "ModuleNotFoundError" not in ran.stderr
    assert "not found" not in ran.stderr


def test_every_setting_that_is_named_is_one() -> None:
    named = set(re.findall(r"ENXUTO_([A-Z_]+)", DOCKERFILE + COMPOSE_TEXT))
    assert {name.lower() for name in named} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_compose_service_names_only_what_there_is(name: str) -> None:
    service = SERVICES[name]
    assert service.get("build", {}).get("target", "api") in stages()
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    volumes = [volume.partition(":")[0] for volume in service.get("volumes", [])]
    assert set(volumes) <= set(COMPOSE["volumes"])
    assert name in OURS or "healthcheck" in service, "what others wait for must say when it is ready"


def test_compose_asks_for_its_secrets_and_has_no_default_for_them() -> None:
    for secret in ("ENXUTO_OPERATOR_KEY", "POSTGRES_PASSWORD"):
        uses = re.findall(rf"\$\{{{secret}(..)", COMPOSE_TEXT)
        assert uses, f"{secret} is set nowhere"
        assert set(uses) == {":?"}, f"{secret} must be asked for"
