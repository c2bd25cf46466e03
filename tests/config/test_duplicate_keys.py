"""Keys that YAML takes for one."""

import pytest

from segchips.config.duplicate_keys import check_duplicate_keys
from segchips.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels:\n  classes: {yes: 1, 1: 2}\n", "line 2: YAML takes the keys yes and 1 for one.*'yes' and '1'"),
        ("labels:\n  classes:\n    1: 1\n    1.0: 2\n", "line 4: YAML takes the keys 1 and 1.0 for one"),
        ("a: {010: 1, 8: 2}\n", "line 1: YAML takes the keys 010 and 8 for one"),
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands twice in its block, first in line 1; remove one"),
        ("- x: [{off: 1, no: 2}]\n", "line 1: YAML takes the keys off and no for one"),
        ('{"a": 1, "a": 2}', "line 1: the key 'a' stands twice"),
    ],
)
def test_keys_that_are_one_are_named(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=f"config.yaml, {message}"):
        check_duplicate_keys(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "classes: {'yes': 1, 1: 2, '1.0': 3, no: 4, other: 5}\n",
        "base: &base {a: 1}\nx: {<<: *base, a: 2}\ny: {<<: *base, a: 3}\n",
        "loop: &loop [1, *loop]\n",
        "a: [\n",
        "",
    ],
)
def test_other_files_pass(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    check_duplicate_keys(tmp_path / "config.yaml")
    check_duplicate_keys(tmp_path / "missing.yaml")
