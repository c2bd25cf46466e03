"""What is written about the config and the release is what is so."""

import re
import tomllib

import yaml

from segchips.config.reference import reference
from support.datasets import SCHEMA
from support.projects import REPOSITORY


def keys_of(block, rules, path=()):
    """All keys of a block of the schema with their paths, those behind references and in lists, too."""
    name = block.get("$ref", "").rpartition("/")[2]
    block = {**rules["$defs"].get(name, {}), **block}
    for key, value in block.get("properties", {}).items():
        yield (*path, key), value
        yield from keys_of(value, rules, (*path, key))
    if isinstance(block.get("items"), dict):
        yield from keys_of(block["items"], rules, path)


def all_keys():
    rules = yaml.safe_load(SCHEMA.read_text())
    for name in ("dataset", "conversion"):
        yield from keys_of(rules["$defs"][name], rules)
    yield from keys_of(rules, rules)


def test_the_reference_is_current():
    assert (REPOSITORY / "config" / "REFERENCE.md").read_text() == reference(SCHEMA), "run `make docs`"


def test_every_key_is_described_in_the_schema_and_in_prose():
    rules = yaml.safe_load(SCHEMA.read_text())
    prose = (REPOSITORY / "config" / "README.md").read_text()
    told = reference(SCHEMA)
    for path, value in all_keys():
        known = rules["$defs"].get(value.get("$ref", "").rpartition("/")[2], {})
        assert value.get("description") or known.get("description"), path
        assert re.search(rf"\b{path[-1]}\b", prose), path
        assert f"`{path[-1]}`" in told or f"### {'.'.join(path)}" in told, path


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())["version"] == version
    assert f"## {version}\n" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_the_library_has_the_workflows_schema():
    from segchips.config import loading

    assert loading.SCHEMA.samefile(SCHEMA)
