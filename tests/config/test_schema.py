"""The JSON schema that editors use is made from the config's blocks and agrees with what the workflow accepts."""

import copy

import jsonschema
import pytest
import yaml

from segchips.config.loading import load_config
from segchips.config.schema import config_schema, schema_text
from support.projects import REPOSITORY

FILE = REPOSITORY / "workflow" / "schemas" / "config.schema.yaml"
CONFIGS = [REPOSITORY / "config" / "config.yaml", *sorted((REPOSITORY / "config" / "examples").glob("*.yaml"))]


def defaults_of(block):
    return {key: value["default"] for key, value in block["properties"].items() if "default" in value}


def test_the_schema_file_is_current():
    assert FILE.read_text() == schema_text(config_schema()), "run `make docs`"
    jsonschema.Draft202012Validator.check_schema(config_schema())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_fit_the_schema(path):
    # BaseLoader keeps dates as text, which would be YAML's own type
    raw = yaml.load(path.read_text(), Loader=_TextDates)
    schema = config_schema()
    jsonschema.validate(raw, schema)
    for entry in raw["datasets"].values():
        kind = "conversion" if "chips" in (entry or {}) else "dataset"
        merged = raw["defaults"] | (entry or {})
        for key in merged.keys() & raw["defaults"].keys() & (entry or {}).keys():
            merged[key] = raw["defaults"][key] | entry[key]
        jsonschema.validate(merged, schema["$defs"][kind])


def test_defaults_in_the_schema_are_those_that_apply():
    schema = config_schema()
    labels = schema["$defs"]["dataset"]["properties"]["labels"]["properties"]
    assert (labels["all_touched"]["default"], labels["layers"]["default"]) == (True, None)
    raw = yaml.safe_load(CONFIGS[0].read_text())
    stated = copy.deepcopy(raw)
    for name in ("tiles", "imagery", "labels", "splitting", "select", "tfrecords"):
        block = schema["$defs"]["dataset"]["properties"][name]
        stated["defaults"][name] = defaults_of(block) | stated["defaults"].get(name, {})
    assert load_config(stated) == load_config(raw)


def test_what_other_blocks_give_is_not_a_key():
    dataset = config_schema()["$defs"]["dataset"]["properties"]
    assert "name" not in dataset
    assert "requests" not in dataset["imagery"]["properties"] and "shares" not in dataset["splitting"]["properties"]


def test_keys_of_a_label_layer_may_stand_beside_the_layers():
    labels = config_schema()["$defs"]["dataset"]["properties"]["labels"]
    layer = labels["properties"]["layers"]["items"]
    assert layer["properties"].keys() < labels["properties"].keys()
    assert "required" not in layer and not defaults_of(layer)


class _TextDates(yaml.SafeLoader):
    """Reads dates as text, as JSON has them."""


_TextDates.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
