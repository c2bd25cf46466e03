"""The reference and the release's version are current."""

import re
import tomllib

import yaml

from segchips.config.reference import reference
from segchips.config.schema import config_schema
from support.projects import REPOSITORY


def keys_of(block, path=()):
    """All keys of a block of the schema with their paths, including those in lists."""
    for key, value in block.get("properties", {}).items():
        yield (*path, key), value
        yield from keys_of(value, (*path, key))
    if isinstance(block.get("items"), dict):
        yield from keys_of(block["items"], path)


def all_keys():
    schema = config_schema()
    for block in (schema, *schema["$defs"].values()):
        yield from keys_of(block)


def test_the_reference_is_current():
    assert (REPOSITORY / "config" / "REFERENCE.md").read_text() == reference(), "run `make docs`"


def test_every_key_is_described_in_the_schema_and_in_prose():
    prose, text = (REPOSITORY / "config" / "README.md").read_text(), reference()
    for path, value in all_keys():
        assert value.get("description"), path
        assert re.search(rf"\b{path[-1]}\b", prose), path
        assert f"`{path[-1]}`" in text or f"### {'.'.join(path)}" in text, path


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())["version"] == version
    assert f"## {version}\n" in (REPOSITORY / "CHANGELOG.md").read_text()
