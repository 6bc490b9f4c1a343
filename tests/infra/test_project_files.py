"""What azd, the Functions host and GitHub read from this folder, and what is sent to Azure."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml  # type: ignore[import-untyped]  # its types are a package of their own

from shared.settings import SETTINGS
from tests.infra.compiler import CHECKOUT
from tests.infra.test_deployment import DEPLOYMENTS

SCHEMAS = Path(__file__).resolve().parent / "schemas"
MEGABYTE = 1_000_000
MOST_OF_THE_APP = 1.25 * MEGABYTE
MOST_OF_ITS_PACKAGES = 60 * MEGABYTE
WORKFLOW = CHECKOUT / ".github" / "workflows" / "azure-dev.yml"  # azd's name for it

IMPORT_ALONE = """
import sys
from importlib import metadata
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

allowed = set(sys.argv[1].split(","))
owners = metadata.packages_distributions()


class OnlyWhatIsDeployed(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        top = fullname.partition(".")[0]
        deployed = {owner.lower().replace("_", "-") for owner in owners.get(top, ())} & allowed
        ours = top in sys.stdlib_module_names or top in ("shared", "function_app")
        return super().find_spec(fullname, path, target) if ours or deployed else None


sys.meta_path = [BuiltinImporter, FrozenImporter, OnlyWhatIsDeployed]
import function_app

print(len(function_app.app.get_functions()))
"""


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def errors(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong by a schema; references to other files count as kept."""

    def elsewhere(_uri: str) -> bool:
        return True

    validator = jsonschema_rs.validator_for(schema, retriever=elsewhere)
    return [
        f"{'/'.join(map(str, e.instance_path))}: {e.message}" for e in validator.iter_errors(value)
    ]


KAFKA_OPTIONS = {
    "type": "object",
    "properties": {
        "maxBatchSize": {"type": "integer", "minimum": 1},
        "commitOnFailure": {"type": "boolean"},
        "maxRetries": {"type": "integer", "minimum": -1},
    },
    "additionalProperties": False,
}
"""Options of the Kafka extension 4.3 (its KafkaOptions.cs); the published schema has none yet."""


def host_schema() -> dict[str, Any]:
    schema: dict[str, Any] = read_json(SCHEMAS / "host.schema.json")
    version_2 = schema["definitions"]["version-2"]
    version_2["properties"]["extensions"]["properties"]["kafka"] = KAFKA_OPTIONS
    return {
        "$schema": schema["$schema"],
        "definitions": schema["definitions"],
        "$ref": "#/definitions/version-2",
    }


def test_azure_yaml_is_what_azd_reads() -> None:
    """azure.yaml is right by azd's published schema, and a misspelt copy of it is not."""
    schema = read_json(SCHEMAS / "azure.yaml.schema.json")
    project = read_yaml(CHECKOUT / "azure.yaml")

    assert errors(schema, project) == []
    assert errors(schema, project | {"requiredVersions": {"azdd": "1"}}) != []


def test_host_json_is_what_the_host_reads() -> None:
    """host.json is right by its published schema, and a copy with a wrong value is not."""
    host = read_json(CHECKOUT / "host.json")

    assert errors(host_schema(), host) == []
    assert errors(host_schema(), host | {"functionTimeout": 5}) != []
    misspelt = {"extensions": host["extensions"] | {"kafka": {"commitOnFail": False}}}
    assert errors(host_schema(), host | misspelt) != []


def test_the_workflow_is_what_github_reads() -> None:
    """The workflow is right by its published schema, and a copy with a misspelt key is not."""
    schema = read_json(SCHEMAS / "github-workflow.schema.json")
    # YAML 1.1 reads the key `on` as true.
    workflow = {"on" if key is True else key: v for key, v in read_yaml(WORKFLOW).items()}

    assert errors(schema, workflow) == []
    assert errors(schema, workflow | {"jobz": {}}) != []


def test_the_workflow_deploys_what_was_tested_without_a_key() -> None:
    """Tests come before anything touches Azure, which knows GitHub by its federated identity."""
    workflow = read_yaml(WORKFLOW)
    jobs = workflow["jobs"]

    assert {name for name, job in jobs.items() if job.get("needs") == "test"} == {
        "preview",
        "deploy",
    }
    assert workflow["permissions"] == {"contents": "read"}
    assert "id-token" not in jobs["test"].get("permissions", {})
    assert "pull_request_target" not in WORKFLOW.read_text(encoding="utf-8")
    assert set(re.findall(r"secrets\.(\w+)", WORKFLOW.read_text(encoding="utf-8"))) == {
        "EMABLER_API_KEY"
    }


def test_each_subject_of_the_workflow_has_a_credential() -> None:
    """Each environment's is made as docs/deploy.md says, where a person may be asked first."""
    environments = {
        job["environment"] for job in read_yaml(WORKFLOW)["jobs"].values() if "environment" in job
    }
    text = (CHECKOUT / "docs" / "deploy.md").read_text(encoding="utf-8")

    assert WORKFLOW.relative_to(CHECKOUT).as_posix() in text
    assert set(re.findall(r"repo:OWNER/REPO:environment:(\w+)", text)) == environments != set()


def test_whoever_may_push_a_branch_cannot_deploy() -> None:
    """No job reaches Azure, or eMabler's key, but in an environment; none by branch or request."""
    jobs = read_yaml(WORKFLOW)["jobs"]
    text = (CHECKOUT / "docs" / "deploy.md").read_text(encoding="utf-8")
    of_azure = {n for n, job in jobs.items() if "id-token" in job.get("permissions", {})}

    assert of_azure == {name for name, job in jobs.items() if "environment" in job} != set()
    assert "EMABLER_API_KEY" not in str([job.get("env") for job in jobs.values()])
    assert "secrets." not in str(jobs["preview"])
    assert "az ad app federated-credential delete" in text
    assert "gh secret set EMABLER_API_KEY --env production" in text


def test_one_deployment_at_a_time() -> None:
    """Two releases in one hour wait for each other, and none is cut off in its middle."""
    concurrency = read_yaml(WORKFLOW)["jobs"]["deploy"]["concurrency"]

    assert concurrency == {"group": "production", "cancel-in-progress": False}


def test_a_closed_network_asks_for_its_provider() -> None:
    """Whoever is delegated a subnet is registered by hand first: the template cannot do it."""
    network = (CHECKOUT / "infra/modules/network/main.bicep").read_text(encoding="utf-8")
    delegated = set(re.findall(r"serviceName: '(Microsoft\.\w+)/", network))
    text = (CHECKOUT / "docs" / "deploy.md").read_text(encoding="utf-8")

    registered = re.findall(r"^az provider register --namespace (\S+) --wait$", text, re.MULTILINE)
    assert set(registered) == delegated != set()


def test_azd_finds_the_app_it_deploys_to() -> None:
    """The one service of azure.yaml is the tag of the site, and its folder is the app's."""
    services = read_yaml(CHECKOUT / "azure.yaml")["services"]
    site = DEPLOYMENTS[0].one("Microsoft.Web/sites")

    assert list(services) == [site["tags"]["azd-service-name"]]
    assert services["functions"]["host"] == "function"
    assert (CHECKOUT / services["functions"]["project"] / "host.json").exists()


def test_pipeline_and_parameters_name_the_same_variables() -> None:
    """What `azd pipeline config` hands to GitHub is what the workflow and the parameters read."""
    pipeline = read_yaml(CHECKOUT / "azure.yaml")["pipeline"]
    named = {*pipeline["variables"], *pipeline["secrets"]}
    text = (CHECKOUT / "infra" / "main.parameters.json").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    of_azd = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}

    assert named == asked - of_azd
    deploy = read_yaml(WORKFLOW)["jobs"]["deploy"]
    (provision,) = (step for step in deploy["steps"] if step.get("name") == "Provision")
    assert named <= deploy["env"].keys() | provision["env"].keys()


def test_a_batch_fits_its_lock() -> None:
    """host.json keeps what docs/decisions/0008-outages.md reasons: batches of 100, no prefetch."""
    service_bus = read_json(CHECKOUT / "host.json")["extensions"]["serviceBus"]

    assert service_bus["maxMessageBatchSize"] == 100
    assert service_bus["prefetchCount"] == 0
    assert service_bus["autoCompleteMessages"] is True


def ignored(patterns: list[str], name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def package() -> list[Path]:
    """What is sent: all files that git knows or would take up, without what .funcignore names."""
    lines = (CHECKOUT / ".funcignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    # Plain names and stars are all that azd, Core Tools and this test have in common.
    assert all(re.fullmatch(r"[\w.*-]+", pattern) for pattern in patterns)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [Path(line) for line in listed.stdout.splitlines()]
    return [
        name
        for name in names
        if (CHECKOUT / name).is_file() and not any(ignored(patterns, part) for part in name.parts)
    ]


def test_the_package_holds_what_runs_and_nothing_else() -> None:
    """function_app.py, host.json, requirements.txt and all of shared/: not a file more or less."""
    sent = {path.as_posix() for path in package()}
    shared = {
        path.relative_to(CHECKOUT).as_posix()
        for path in (CHECKOUT / "shared").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert sent == {"function_app.py", "host.json", "requirements.txt", *shared}
    assert all(path.endswith(".py") for path in shared)


def test_the_package_is_small() -> None:
    """Without its dependencies, and the list of their hashes, the app is under 1.25 MB."""
    own = [path for path in package() if path.name != "requirements.txt"]
    size = sum((CHECKOUT / path).stat().st_size for path in own)

    assert 50_000 < size < MOST_OF_THE_APP


def deployed_distributions() -> set[str]:
    text = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9][a-z0-9.-]*)==", text, re.MULTILINE))


def test_its_dependencies_are_few_and_not_large(record_property: Any) -> None:
    """What Azure installs beside the app is bounded: a cold start reads it."""
    size = sum(
        Path(str(file.locate())).stat().st_size
        for name in deployed_distributions()
        for file in metadata.files(name) or ()
        if file.suffix != ".pyc" and Path(str(file.locate())).exists()
    )

    record_property("unpacked_dependencies_bytes", size)
    assert size < MOST_OF_ITS_PACKAGES, f"{size / MEGABYTE:.1f} MB"


def test_every_dependency_is_pinned_with_hashes() -> None:
    """requirements.txt has one version and its hashes for all that requirements.in asks for."""
    text = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    asked = (CHECKOUT / "requirements.in").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]

    assert len(entries) == len(deployed_distributions()) > 10
    assert all("--hash=sha256:" in entry for entry in entries)
    for line in re.findall(r"^([\w-]+==[\w.]+)", asked, re.MULTILINE):
        assert f"\n{line}" in f"\n{text}", line


@pytest.mark.timeout(120)
def test_the_app_starts_from_its_package_alone(tmp_path: Path) -> None:
    """With nothing but the package and what requirements.txt names, the functions are found."""
    for path in package():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / path, tmp_path / path)
    names = {setting.name for setting in SETTINGS}
    environ = {key: value for key, value in os.environ.items() if key not in names}

    run = subprocess.run(
        [sys.executable, "-c", IMPORT_ALONE, ",".join(sorted(deployed_distributions()))],
        cwd=tmp_path,
        env=environ
        | {"DataStorageConnection": "UseDevelopmentStorage=true", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert int(run.stdout) >= 3
