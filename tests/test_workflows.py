"""The workflows: actions named by commit, with least rights, and those that write run nothing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import paths

WORKFLOWS = sorted((paths.REPOSITORY / ".github" / "workflows").iterdir())
EACH = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)

Json = dict[str, Any]

# What a job that can write may run, and GitHub's machines have.
HARMLESS = {"[", "cat", "echo", "gh", "printf", "sha256sum", "skopeo"}
# What it may be given: made by GitHub, and running nothing of the repository.
TRUSTED = {"actions/attest-build-provenance", "actions/download-artifact"}


def workflow(path: Path) -> Json:
    return yaml.safe_load(path.read_text())


def steps(path: Path) -> list[Json]:
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


def rights(job: Json) -> Json:
    granted = job["permissions"]
    assert isinstance(granted, dict), "read-all and write-all are more than any job needs"
    return granted


def commands(script: str) -> set[str]:
    """The commands of a step: first words, behind assignments and in substitutions too."""
    script = script.replace("\\\n", " ")
    script = re.sub(r"\$\(", "\n", script)
    quoted = re.compile(r"'[^']*'|\"[^\"]*\"")
    found = set()
    for part in re.split(r"\n|;|\|\|?|&&|[{}]", quoted.sub("Q", re.sub(r"\$\{[^}]*\}", "V", script))):
        words = [word for word in part.split() if not re.match(r"\w+=", word)]
        if words and not words[0].startswith((")", ">", "-", "Q")):
            found.add(words[0])
    return found


@EACH
def test_actions_are_named_by_commit(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if "uses:" in line]
    assert len(lines) == sum("uses" in step for step in steps(path))
    for line in lines:
        assert re.fullmatch(
            r"\s*(- )?uses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line
        ), line


def test_one_action_is_one_commit() -> None:
    used = {step["uses"] for path in WORKFLOWS for step in steps(path) if "uses" in step}
    assert len(used) == len({one.split("@")[0] for one in used}), used


@EACH
def test_rights_are_each_jobs_own(path: Path) -> None:
    assert workflow(path)["permissions"] == {}
    for name, job in workflow(path)["jobs"].items():
        for right, level in rights(job).items():
            assert (right, level) == ("contents", "read") or path.stem == "release", name
            assert level in {"read", "write"}


def test_the_release_has_no_right_too_many() -> None:
    jobs = workflow(paths.REPOSITORY / ".github" / "workflows" / "release.yml")["jobs"]
    attests = {"id-token": "write", "attestations": "write"}
    assert {name: rights(job) for name, job in jobs.items()} == {
        "test": {"contents": "read"},
        "audit": {"contents": "read"},
        "package": {"contents": "read"},
        "image": {"packages": "write"} | attests,
        "files": attests,
        "release": {"contents": "write"},
    }
    for name in ("image", "files"):
        assert set(jobs[name]["needs"]) == {"test", "audit", "package"}
    assert set(jobs["release"]["needs"]) == {"image", "files"}


@EACH
def test_who_can_write_runs_nothing_of_the_repository(path: Path) -> None:
    for name, job in workflow(path)["jobs"].items():
        if "write" not in rights(job).values():
            continue
        for step in job["steps"]:
            if "uses" in step:
                assert step["uses"].split("@")[0] in TRUSTED, name
            else:
                assert commands(step["run"]) <= HARMLESS, name
                assert "${{" not in step["run"], "what it says would be part of the script"


@EACH
def test_who_runs_the_repository_keeps_no_token(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        assert "secrets." not in str(step)


def test_no_cache_gets_into_a_release() -> None:
    """Anything could be in what another run left there."""
    release = paths.REPOSITORY / ".github" / "workflows" / "release.yml"
    assert not [step for step in steps(release) if "cache" in step.get("uses", "")]


def test_all_build_with_one_compiler() -> None:
    (pinned,) = {workflow(path)["env"]["RUST"] for path in WORKFLOWS}
    assert re.fullmatch(r"1\.\d+\.\d+", pinned)
    for path in WORKFLOWS:
        for step in steps(path):
            for line in step.get("run", "").splitlines():
                if "rustup" in line:
                    assert '"$RUST"' in line or '"$MSRV"' in line, line


def test_the_jobs_together_make_all_that_the_script_makes() -> None:
    jobs = workflow(paths.REPOSITORY / ".github" / "workflows" / "ci.yml")["jobs"]
    made = set()
    for job in jobs.values():
        for step in job["steps"]:
            if (script := step.get("run", "")).startswith(".ci/run "):
                made |= set(script.split()[1:])
    assert made == {"check", "properties", "e2e", "oldest"}
    makefile = (paths.REPOSITORY / "Makefile").read_text()
    needs = {
        name: set(needed.split())
        for name, needed in re.findall(r"^(\w+):([^#\n=]*)##", makefile, re.MULTILINE)
    }
    assert needs["check"] == {"lint", "native"}
    assert needs["test"] == {"native", "properties", "e2e", "oldest"}
    assert "build" in needs["e2e"] & needs["oldest"]


@EACH
def test_who_runs_control_planes_may_make_namespaces(path: Path) -> None:
    """Ubuntu refuses them to those who are not root, unless told otherwise."""
    for name, job in workflow(path)["jobs"].items():
        scripts = [step.get("run", "") for step in job["steps"]]
        if ".ci/run" in scripts or "kubernetes" in str(job):
            assert any("apparmor_restrict_unprivileged_userns=0" in one for one in scripts), name


def test_the_promised_rust_is_tried() -> None:
    jobs = workflow(paths.REPOSITORY / ".github" / "workflows" / "ci.yml")["jobs"]
    scripts = " ".join(step.get("run", "") for step in jobs["msrv"]["steps"])
    (expression,) = re.findall(r"MSRV=\$\((sed -n '.*' Cargo.toml)\)", scripts)
    found = subprocess.check_output(expression, shell=True, cwd=paths.REPOSITORY, text=True)
    assert re.fullmatch(r"1\.\d+\n", found)
    assert "cargo check --locked" in scripts


def locked(name: str) -> dict[str, list[str]]:
    """The packages of a file for pip, with their hashes."""
    text = (paths.REPOSITORY / "tests" / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.split()[0]: re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line) for line in lines}


@pytest.mark.parametrize("name", ["requirements", "engines"])
def test_what_pip_installs_has_a_hash(name: str) -> None:
    found = locked(f"{name}.txt")
    assert all(found.values()), found
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", package) for package in found)
    asked = (paths.REPOSITORY / "tests" / f"{name}.in").read_text().splitlines()
    normal = {package.lower().replace("_", "-") for package in found}
    assert {line.lower() for line in asked if line and not line.startswith("#")} <= normal


def test_nothing_is_installed_without_a_hash() -> None:
    """pip-tools, which writes the hashes, is the one exception."""
    for script in [*(paths.REPOSITORY / "scripts").iterdir(), paths.REPOSITORY / ".ci" / "run"]:
        if not script.is_file() or script.name == "lock-python":
            continue
        text = script.read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if re.search(r"\bpip\"? install\b", line) and not line.lstrip().startswith("#"):
                assert "--require-hashes" in line, f"{script.name}: {line}"
            if line.lstrip().startswith("cargo install"):
                assert "--locked" in line and "@" in line, f"{script.name}: {line}"
