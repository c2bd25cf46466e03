"""A config as an attacker would write it does nothing but what its keys are for; secrets stay where they are."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import Files
from segchips.config.loading import load_config
from segchips.errors import ConfigError
from support.catalogues import write_json
from support.projects import REPOSITORY, Project

MARK = "pwned"
COMMANDS = [f"$(touch {MARK})", f"`touch {MARK}`", f"; touch {MARK} #", f"| touch {MARK}", f"&& touch {MARK}"]
COMMANDS += [
    f"'; touch {MARK}; '",
    f'"; touch {MARK}; "',
    f"\n touch {MARK}\n",
    f"{{__import__('os').system('touch {MARK}')}}",
]


def texts(block: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The places of all strings in the config."""
    if isinstance(block, dict):
        return [place for key, value in block.items() for place in texts(value, (*path, key))]
    if isinstance(block, list):
        return [place for number, value in enumerate(block) for place in texts(value, (*path, number))]
    return [path] if isinstance(block, str) else []


def replaced(block: Any, place: tuple[str | int, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(block, default=str))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return copy


NAMES = [
    "../up",
    "a/b",
    "/etc/x",
    ".",
    "..",
    "a b",
    "a\n",
    "-rf",
    "A",
    "$(id)",
    "",
    "a" * 5000 + "!",
    "con\x00",
    "ä",
    "__init__.py",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_datasets_name_is_no_path(name: str) -> None:
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    with pytest.raises(ConfigError):
        load_config({**config, "datasets": {name: {}}})
    with pytest.raises(ConfigError):
        splits = {"tfrecords": {"splits": {name: 1.0}}}
        load_config({**config, "datasets": {"sample": splits}})


NUMBERS = [1e308, -1e308, 10**400, float("inf"), float("nan"), -1, 2**63, "9" * 400, True]
KEYS = [("tiles", "size"), ("tiles", "pad"), ("tiles", "resolution"), ("tfrecords", "shards"), ("tfrecords", "quality")]
KEYS += [("labels", "background"), ("imagery", "patience"), ("imagery", "min_valid")]


@pytest.mark.parametrize("key", KEYS, ids="-".join)
def test_enormous_numbers_are_refused(key: tuple[str, str]) -> None:
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    for number in NUMBERS:
        if key == ("imagery", "patience") and number in (1e308, 2**63):
            continue
        with pytest.raises(ConfigError) as caught:
            load_config(replaced({**config}, ("defaults", *key), number))
        assert len(str(caught.value)) < 2000


@pytest.mark.slow
def test_no_text_of_the_config_is_executed(fresh: Project) -> None:
    """All strings of the config replaced by commands, one after the other; then three of them in real runs."""
    config = fresh.config
    places = [place for place in texts(config) if place[0] != "datasets"]
    for number, place in enumerate(places):
        for command in COMMANDS:
            with suppress(ConfigError):
                load_config(replaced(config, place, command))
        if place[-1] in ("path", "catalog", "id"):
            fresh.write(replaced(config, place, COMMANDS[number % len(COMMANDS)]))
            result = fresh.run("--dry-run")
            assert result.returncode == 1 and "Traceback" not in result.stdout, result.stdout
    assert not list(fresh.folder.rglob(f"*{MARK}")) and not Path(MARK).exists()


@pytest.mark.slow
def test_results_named_like_a_command_are_a_folder(fresh: Project) -> None:
    name = "".join(command.strip() for command in COMMANDS[:7])
    fresh.change("results", name)
    result = fresh.run(f"{name}/sample/scenes.parquet")
    assert result.returncode == 0, result.stdout
    assert (fresh.folder / name / "sample" / "scenes.parquet").exists()
    assert not [path for path in fresh.folder.rglob(MARK) if path.is_file()]


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system ['touch pwned']", "!!python/name:os.system", "!!python/object/new:os.system [x]"],
)
def test_yaml_tags_are_no_code(fresh: Project, tag: str) -> None:
    path = fresh.folder / "config.yaml"
    path.write_text(path.read_text() + f"requests: {tag}\n")
    result = fresh.run("--dry-run")
    assert result.returncode != 0 and not (fresh.folder / MARK).exists()


SECRET = "s3cr3t-0f-a-us3r"


def test_secrets_are_in_no_file_and_no_message(fresh: Project, serve: Any) -> None:
    """Signed addresses and tokens of the environment; one tile's file is broken, so that messages are searched too."""
    served = fresh.folder / "www"
    shutil.move(fresh.folder / "resources", served)
    shutil.copytree(served, fresh.folder / "resources")
    host = serve(
        type("Quiet", (Files,), {"__init__": lambda self, *args: Files.__init__(self, *args, directory=str(served))})
    )
    address = f"{host}/sample"
    for path in served.glob("sample/sample-l2a/*/*.json"):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["href"] = f"{address}/sample-l2a/{path.parent.name}/{Path(asset['href']).name}"
        write_json(path, item)
    broken = next(served.glob("sample/sample-l2a/*20230705*/B04.tif"))
    broken.write_bytes(broken.read_bytes()[:4000])
    fresh.change("defaults.imagery.catalog", f"{address}/catalog.json?token={SECRET}")
    names = [
        "EARTHONE_TOKEN",
        "DESCARTESLABS_TOKEN",
        "PC_SDK_SUBSCRIPTION_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ]
    fresh.environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    fresh.environment |= dict.fromkeys(names, SECRET) | {"GDAL_HTTP_HEADERS": f"Authorization: Bearer {SECRET}"}
    result = fresh.run()
    assert SECRET not in result.stdout, result.stdout
    assert fresh.ledger() and result.returncode == 1 and "cannot be read" in result.stdout
    kept = [fresh.folder / name for name in ("results", "logs", ".snakemake")]
    for path in (path for folder in kept for path in folder.rglob("*") if path.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path
