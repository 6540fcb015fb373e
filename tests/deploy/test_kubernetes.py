"""The Kubernetes files: references resolve, pods are contained, parts get what they need; a pool's template is one that Prefect takes."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.utilities.templating import apply_values, find_placeholders

from cli.service import roles
from tests.deploy.files import COMPONENT, KUBERNETES, SECRETS, documents, part_of, unknown

OVERLAYS = ("cpu", "gpu")
TEMPLATE: dict[str, Any] = json.loads((COMPONENT / "base-job-template.json").read_text())
EXAMPLES = {found["metadata"]["name"]: found["stringData"] for found in documents(KUBERNETES / "examples/secrets.yaml")}


def resources(folder: Path) -> list[dict[str, Any]]:
    """What a kustomization names, followed to the files. Every one of them must be there."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    found = []
    for name in kustomization.get("resources", []):
        path = (folder / name).resolve()
        assert path.exists(), path
        found += resources(path) if path.is_dir() else documents(path)
    for name in kustomization.get("components", []):
        found += resources((folder / name).resolve())
    for generator in kustomization.get("configMapGenerator", []):
        assert all((folder / name).is_file() for name in generator["files"])
    return found


@cache
def of_overlay(name: str) -> list[dict[str, Any]]:
    return resources(KUBERNETES / "overlays" / name)


def everything() -> list[dict[str, Any]]:
    return [found for name in OVERLAYS for found in of_overlay(name)] + resources(COMPONENT)


def pods() -> list[tuple[str, dict[str, Any]]]:
    """Every pod that is described: of Deployments, of Jobs, of the work pool's template with its defaults."""
    found = [(f["metadata"]["name"], f["spec"]["template"]) for f in everything() if "template" in f.get("spec", {})]
    return [*found, ("a run", manifest()["spec"]["template"])]


def manifest() -> dict[str, Any]:
    """The Job that the template makes with its defaults."""
    defaults = {name: v["default"] for name, v in TEMPLATE["variables"]["properties"].items() if "default" in v}
    return apply_values(TEMPLATE["job_configuration"], defaults)["job_manifest"]


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in found if one["kind"] == kind]


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_is_named_twice(name: str) -> None:
    names = [(found["kind"], found["metadata"]["name"]) for found in of_overlay(name)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("name", "pod"), [pytest.param(*one, id=f"{i}-{one[0]}") for i, one in enumerate(pods())])
def test_every_pod_is_contained(name: str, pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    assert spec["enableServiceLinks"] is False, "SPLATFLOW_API_PORT of a Service is no port"
    assert spec["automountServiceAccountToken"] is (name == "splatflow-pods")
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert all(volume["emptyDir"]["sizeLimit"] for volume in volumes.values()), "scratch space has a limit"
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == volumes.keys()
    assert "/tmp" in mounts.values()


def part(container: dict[str, Any]) -> str | None:
    words = container["args"]
    words = words.split()[1:] if isinstance(words, str) else words
    return part_of(words) if words[0] == "part" else None


@pytest.mark.parametrize(("name", "pod"), [pytest.param(*one, id=f"{i}-{one[0]}") for i, one in enumerate(pods())])
def test_every_part_is_given_what_it_needs_and_no_more_secrets(name: str, pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    if (which := part(container)) is None:
        assert name == "splatflow-pods"
        return
    maps = {found["metadata"]["name"]: found["data"] for found in of_kind(of_overlay("cpu"), "ConfigMap")}
    given: dict[str, str] = {}
    for source in container["envFrom"]:
        if "configMapRef" in source:
            given |= maps[source["configMapRef"]["name"]]
        else:
            given |= {key: SECRETS[key] for key in EXAMPLES[source["secretRef"]["name"]]}
    needs = roles.ROLES[which].needs
    roles.refuse(needs, given)
    for secret in ("SPLATFLOW_SIGNING_SECRET", "PREFECT_API_DATABASE_CONNECTION_URL", "SPLATFLOW_DATABASE_URL"):
        assert (secret in given) == (secret in needs)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if "exec" in container.get(probe, {}):
            command = container[probe]["exec"]["command"]
            assert command[0] == "splatflow"
            assert part_of(command[1:]) == which
    if which in ("worker", "housekeeping"):
        assert "livenessProbe" not in container, "Prefect being away must not end runs"
        assert pod["spec"]["terminationGracePeriodSeconds"] >= 30


def test_secrets_have_no_values_and_settings_exist() -> None:
    assert {value for data in EXAMPLES.values() for value in data.values()} == {""}
    maps = of_kind(of_overlay("cpu"), "ConfigMap")
    assert not unknown({name for found in maps for name in found["data"]} | {n for d in EXAMPLES.values() for n in d})
    assert not {name for found in maps for name in found["data"] if "SECRET" in name or "PASSWORD" in name}


def test_selectors_find_pods_and_ports_have_names() -> None:
    found = everything()
    labels = [pod["metadata"]["labels"] for _, pod in pods()]

    def selects(selector: dict[str, str]) -> bool:
        return any(selector.items() <= of_pod.items() for of_pod in labels)

    for one in of_kind(found, "Deployment"):
        assert one["spec"]["selector"]["matchLabels"].items() <= one["spec"]["template"]["metadata"]["labels"].items()
    for one in of_kind(found, "Service"):
        assert selects(one["spec"]["selector"])
        assert one["spec"]["ports"][0]["targetPort"] == "http"
    for one in of_kind(found, "PodDisruptionBudget"):
        assert selects(one["spec"]["selector"]["matchLabels"])
    for one in of_kind(found, "NetworkPolicy"):
        assert selects(one["spec"]["podSelector"].get("matchLabels", {}))
    services = {one["metadata"]["name"]: one["spec"]["ports"][0]["port"] for one in of_kind(found, "Service")}
    for text in re.findall(r"http://(splatflow-[\w-]+):(\d+)", json.dumps(found)):
        assert services[text[0]] == int(text[1])


def test_images_are_replaced_by_overlays() -> None:
    for name in OVERLAYS:
        kustomization = yaml.safe_load((KUBERNETES / "overlays" / name / "kustomization.yaml").read_text())
        used = {
            container["image"]
            for found in of_overlay(name)
            if "template" in found.get("spec", {})
            for container in found["spec"]["template"]["spec"]["containers"]
        }
        assert used == {image["name"] for image in kustomization["images"]}
        assert all(image["newTag"] != "latest" for image in kustomization["images"])


def test_a_gpu_worker_asks_for_a_gpu() -> None:
    (worker,) = [one for one in of_overlay("gpu") if one["metadata"]["name"] == "splatflow-worker"]
    assert worker["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert manifest()["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_the_pools_template_is_one_that_prefect_takes() -> None:
    WorkPoolCreate(name="gpu", type="kubernetes", base_job_template=TEMPLATE)
    known = set(TEMPLATE["variables"]["properties"])
    assert {found.name for found in find_placeholders(TEMPLATE["job_configuration"])} == known
    jsonschema.Draft202012Validator.check_schema(TEMPLATE["variables"])
    for variable in TEMPLATE["variables"]["properties"].values():
        if "default" in variable:
            jsonschema.validate(variable["default"], variable)
    made = manifest()
    assert not find_placeholders(made)
    # What prefect-kubernetes insists on; the two numbers mean nothing to Kubernetes in this place.
    assert made["kind"] == "Job"
    assert {"parallelism", "completions", "restartPolicy"} <= made["spec"]["template"]["spec"].keys()
    assert made["spec"]["template"]["spec"]["containers"][0]["name"] == "prefect-job"
    assert made["spec"]["backoffLimit"] == 0, "another attempt is the dispatcher's to make"


@pytest.mark.parametrize("name", OVERLAYS)
def test_kustomize_itself_takes_them(name: str, tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    copy = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    if name == "gpu":  # once more with pods for runs, as the component says
        path = copy / "overlays" / "gpu" / "kustomization.yaml"
        path.write_text(path.read_text() + "components: [../../components/kubernetes-pool]\n")
    command = ["kubectl", "kustomize", str(copy / "overlays" / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = [found for found in yaml.safe_load_all(done.stdout) if found]
    assert all(found["metadata"]["namespace"] == "splatflow" for found in made)
    assert not re.search(r"image: splatflow", done.stdout)
    if name == "gpu":
        (job,) = [found for found in made if found["metadata"]["name"] == "splatflow-deploy"]
        assert part(job["spec"]["template"]["spec"]["containers"][0]) == "deploy"
