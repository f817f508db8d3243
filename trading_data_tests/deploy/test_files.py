"""The rules that the deployment's files keep: passwords, ports, users, versions, limits, and every setting given."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from trading_data import settings as names
from trading_data.local.valkey import CONFIG
from trading_data.orchestration.build import build_defs
from trading_data.orchestration.declared import LOCATION
from trading_data.orchestration.tags import OWNER_SECRET, POD
from trading_data.settings import SECRETS, Settings, password_file

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
VALUES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes/values.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_no_password_has_a_default_and_a_missing_one_is_named() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{(\w*PASSWORD\w*)([^}]*)\}", text)
    assert used
    assert all(rest == f":?set {name}" for name, rest in used)
    asked = {name for name, _ in used}
    given = {secret["environment"] for secret in COMPOSE["secrets"].values()}
    assert given - asked == {"GRAFANA_PASSWORD"}, "needed only by Grafana"


def test_passwords_reach_containers_as_files() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            assert not variable.endswith("PASSWORD"), (name, variable)
            assert "://" not in str(value) or not re.search(r"//[^/]*:[^/]*@", str(value)), (name, variable)
            if variable.endswith("_FILE"):
                assert Path(value).name in service["secrets"], (name, variable)
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()


def test_what_each_service_knows_is_what_it_needs() -> None:
    knows = {name: set(service.get("secrets", [])) for name, service in SERVICES.items()}
    assert {name for name, known in knows.items() if "postgres_password" in known} == {"timescale", "roles"}
    assert {name for name, known in knows.items() if "owner_password" in known} == {"roles", "code"}
    for name in ("web", "web-read-only", "daemon"):
        assert knows[name] == {"dagster_password"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_keeps_the_rules(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+\S*$|:\d+\.\d+\.\d+-pg18$", service["image"]), "pinned by version"
    assert all(port.startswith("${BIND:-127.0.0.1}:") for port in service.get("ports", []))
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["logging"]["driver"] == "json-file"
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert "/var/run/docker.sock" not in str(service)
    if name != "roles":  # it ends
        assert "test" in service["healthcheck"]
        assert service["restart"] == "unless-stopped"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or volume.endswith(":ro"), volume


def test_no_image_runs_as_root() -> None:
    for name, service in SERVICES.items():
        if "build" in service:
            assert service["image"] == "trading_data:0.1.0"
        elif name != "timescale":  # its entrypoint leaves root by itself
            assert service["user"].split(":")[0] not in ("0", "root", "")
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert all(re.search(r":\d+\.\d+\S+$", image) for image in re.findall(r"^ARG \w+=(\S+)$", DOCKERFILE, re.MULTILINE))


def test_every_setting_is_given_to_the_code_location() -> None:
    given = SERVICES["code"]["environment"].keys()
    own = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    wanted = {variable for variable in own if variable.startswith(("TRADING_DATA", "DAGSTER"))} - {
        names.ADMIN_URL, names.ARCHIVE_CRON, names.HEALTH_SCHEDULE,  # the last two: for the demo, or in deploy/settings.env
    }  # fmt: skip
    assert wanted <= given
    assert {password_file(secret) for secret in SECRETS if secret not in (names.ADMIN_URL, names.DRILL_URL)} <= given
    assert len(wanted) == len(Settings.__dataclass_fields__)


def test_the_order_of_starting() -> None:
    needs = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    assert needs["roles"] == {"timescale"}
    assert needs["code"] == {"roles", "redis"}
    assert all(needs[name] == {"code"} for name in ("web", "web-read-only", "daemon"))
    assert "--read-only" in SERVICES["web-read-only"]["command"]


def test_mounted_and_copied_files_are_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).exists(), volume
    ignored = (ROOT / ".dockerignore").read_text()
    for name in re.findall(r"^COPY (?!--from)(?:--chown=\S+ )?(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for path in name.split():
            assert f"!{path}" in ignored, path
            assert (ROOT / path).exists() or path == "requirements/image.txt", path


def test_the_live_tier_of_the_file_is_the_declared_one() -> None:
    lines = (ROOT / "deploy/redis/redis.conf").read_text().splitlines()
    output = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    assert {name: output[name].strip('"') for name in CONFIG if name != "bind"} == {
        name: value for name, value in CONFIG.items() if name != "bind"
    }


def test_the_log_of_changes_is_archived() -> None:
    output = (ROOT / "deploy/timescale/postgresql.conf").read_text()
    for line in (
        "wal_level = replica",
        "archive_mode = on",
        "shared_preload_libraries = 'timescaledb,pg_stat_statements'",
    ):
        assert line in output
    assert re.search(r"max_wal_senders = [1-9]", output)
    assert "test ! -f /wal/%f" in output


def test_dockers_instance_differs_in_its_launcher_alone() -> None:
    plain = yaml.safe_load((ROOT / "trading_data" / "dagster.yaml").read_text())
    docker = yaml.safe_load((ROOT / "deploy/dagster.docker.yaml").read_text())
    launcher = docker.pop("run_launcher")
    assert docker == plain
    assert launcher["class"] == "DockerRunLauncher"
    passed = dict(variable.split("=", 1) for variable in launcher["config"]["env_vars"])
    given = {
        name: re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", value) for name, value in SERVICES["code"]["environment"].items()
    }
    assert passed == given, "a variable without a value is read from the environment of the daemon, which lacks it"


def test_the_values_for_kubernetes_have_what_the_system_relies_on() -> None:
    assert VALUES["runLauncher"]["type"] == "K8sRunLauncher"
    assert VALUES["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2", "a bare postgresql:// means psycopg 3"
    assert VALUES["postgresql"]["postgresqlParams"]["sslmode"] == "verify-full"
    assert VALUES["dagsterWebserver"]["service"]["port"] >= 1024, "an unprivileged process cannot bind a lower one"
    assert [server["name"] for server in VALUES["dagsterWebserver"]["workspace"]["servers"]] == [LOCATION]
    plain = yaml.safe_load((ROOT / "trading_data" / "dagster.yaml").read_text())["concurrency"]["pools"]
    pools = VALUES["concurrency"]["pools"]
    assert (pools["granularity"], pools["defaultLimit"]) == (plain["granularity"], plain["default_limit"])
    assert VALUES["postgresql"]["enabled"] is False
    assert VALUES["generatePostgresqlPasswordSecret"] is False
    assert VALUES["telemetry"]["enabled"] is False
    (location,) = VALUES["dagster-user-deployments"]["deployments"]
    assert location["envSecrets"] == [{"name": "trading-data"}]
    assert location["dagsterApiGrpcArgs"] == ["-m", "trading_data.definitions", "--location-name", "trading_data"]
    assert location["includeConfigInLaunchedRuns"] == {"enabled": False}, "runs have their own memory and rights"
    assert VALUES["dagster-user-deployments"]["rbacEnabled"] is False
    launcher = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    for same in ("envSecrets", "volumes", "volumeMounts"):
        assert launcher[same] == location[same]
    assert [
        config_map["name"].endswith(f"{location['name']}-user-env") for config_map in launcher["envConfigMaps"]
    ] == [True]
    assert launcher["runK8sConfig"]["containerConfig"]["resources"]["limits"]
    assert launcher["runK8sConfig"]["podSpecConfig"]["automountServiceAccountToken"] is False
    assert "password" not in str(VALUES).lower().replace("passwordsecret", "").replace("postgresql-password", "")
    assert "CronJob" not in str(VALUES)


def test_only_jobs_of_the_owner_get_the_owners_secret() -> None:
    jobs = {job.name: job.tags for job in build_defs().resolve_all_job_defs()}
    owners = {name for name, tags in jobs.items() if OWNER_SECRET in str(tags.get(POD, ""))}
    assert owners == {"compression_job", "retention_job", "backup_job", "restore_drill_job"}
