"""environment.yml, pyproject.toml and requirements.lock name the same dependencies."""

import re
import tomllib

import yaml

from support.projects import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
LOCK = (REPOSITORY / "requirements.lock").read_text()


def name_and_bounds(requirement: str) -> tuple[str, frozenset[str]]:
    name, bounds = re.fullmatch(r"([A-Za-z0-9._-]+)\s*(.*)", requirement).groups()
    return name.lower().replace("_", "-"), frozenset(bounds.replace(" ", "").split(",")) - {""}


def declared() -> dict[str, frozenset[str]]:
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    return dict(map(name_and_bounds, PROJECT["dependencies"] + extras))


def test_the_environment_names_what_the_project_declares() -> None:
    listed = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    (from_pip,) = (entry["pip"] for entry in listed if isinstance(entry, dict))
    named = dict(map(name_and_bounds, [entry for entry in listed if isinstance(entry, str)] + from_pip))
    assert named.pop("python") == {PROJECT["requires-python"]}
    assert named.pop("pip") == frozenset()
    assert named == declared()


def test_the_lock_pins_every_declared_dependency_within_its_bounds() -> None:
    from packaging.requirements import Requirement

    pinned = [Requirement(line) for line in LOCK.splitlines() if line]
    for name, bounds in declared().items():
        versions = [str(entry.specifier)[2:] for entry in pinned if entry.name.lower().replace("_", "-") == name]
        assert versions, f"{name} is not in requirements.lock"
        wanted = Requirement(f"{name}{','.join(sorted(bounds))}").specifier
        assert all(version in wanted for version in versions), name


def test_the_lock_pins_exactly_and_names_no_registry() -> None:
    for line in LOCK.splitlines():
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^ ]+( ; .*)?$", line), line
