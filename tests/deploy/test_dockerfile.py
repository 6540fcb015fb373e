"""The Dockerfile: pinned, without secrets, not as root, and with commands and sources that exist."""

import json
import re
import tomllib

import pytest

from tests.deploy.files import DEPLOY, ROOT, part_of, unknown


def instructions() -> list[tuple[str, str]]:
    """Instruction and its words; lines that go on are joined, comments are left out."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def final() -> list[tuple[str, str]]:
    """The instructions of the last stage."""
    all_of_them = instructions()
    begin = max(i for i, (word, _) in enumerate(all_of_them) if word == "FROM")
    return all_of_them[begin:]


def one(word: str) -> str:
    (found,) = [rest for other, rest in final() if other == word]
    return found


def variables() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(rest for word, rest in final() if word == "ENV")))


def test_bases_are_pinned_or_stages() -> None:
    given = dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG" and "=" in rest)
    stages: set[str] = set()
    for word, rest in instructions():
        if word != "FROM":
            continue
        image, *name = re.split(r" AS ", rest)
        image = re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], image)
        assert image in stages or re.search(r":[\w.-]*\d+\.\d+", image), image
        stages.update(name)
    assert {"python-cpu", "python-cuda"} <= stages
    assert given["VARIANT"] == "cpu"


def test_it_holds_no_secret_and_fetches_nothing_by_itself() -> None:
    for word, rest in instructions():
        assert word != "ADD"
        assert word not in ("ARG", "ENV") or not re.search(r"PASSWORD|SECRET|TOKEN|_KEY\b", rest), rest
        assert "curl" not in rest
        assert "wget" not in rest


def test_it_does_not_run_as_root_and_ends_when_asked() -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", one("USER"))
    assert one("STOPSIGNAL") == "SIGTERM"
    assert json.loads(one("ENTRYPOINT")) == ["tini", "--", "splatflow"]


def test_its_commands_exist() -> None:
    assert part_of(json.loads(one("CMD"))) == "api"
    check = json.loads(one("HEALTHCHECK").partition("CMD ")[2])
    assert check[0] == "splatflow"
    assert part_of(check[1:]) == "api"


def test_everything_written_goes_below_one_folder() -> None:
    found = variables()
    assert not unknown(set(found))
    for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "SPLATFLOW_DATA"):
        assert found[name].startswith("/var/lib/splatflow")
    assert one("WORKDIR") == "/var/lib/splatflow"


def test_what_it_copies_is_there_and_reaches_the_build() -> None:
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert next(rule for rule in rules if not rule.startswith("#")) == "*", "nothing but what is named"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    for word, rest in instructions():
        if word != "COPY" or rest.startswith("--from"):
            continue
        for source in rest.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source == rule or source.startswith(rule + "/") for rule in let_in), source
    for name in let_in:
        assert (ROOT / name).exists(), name


def test_the_wheel_gets_every_room_of_the_project() -> None:
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["scikit-build"]["wheel"]["packages"]
    copied = {rest.split()[0] for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")}
    assert set(rooms) <= copied


def test_it_builds_the_gsplat_that_the_project_names() -> None:
    (named,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["cuda"]
    assert named in (DEPLOY / "Dockerfile").read_text()


@pytest.mark.parametrize("name", [".env", "splatflow-data", ".git", "tests", "benchmarks"])
def test_what_must_not_get_into_an_image_is_not_let_in(name: str) -> None:
    let_in = {line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert f"!{name}" not in let_in
