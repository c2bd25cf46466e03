"""errors.py: what messages must not show."""

import pytest

from segchips.errors import InputError, redact_library_message, redact_urls

SECRET = "h1dden"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"https://host.org/a.tif?sig={SECRET}", "https://host.org/a.tif"),
        (f"https://me:{SECRET}@host.org/a.tif: not found", "https://host.org/a.tif: not found"),
        (f"https://me:p@{SECRET}@host.org/a.tif", "https://host.org/a.tif"),
        (f"/vsicurl/https://me:{SECRET}@host.org/a.tif?x={SECRET}", "/vsicurl/https://host.org/a.tif"),
        (f"https://a.org/x,https://me:{SECRET}@b.org/y", "https://a.org/x,https://b.org/y"),
        (
            f"'s3://bucket/60#2.tif?key={SECRET}' and \"http://b.org/?t={SECRET}\"",
            "'s3://bucket/60#2.tif' and \"http://b.org/\"",
        ),
        (f"https://host.org/a.tif#token={SECRET} is missing", "https://host.org/a.tif is missing"),
        (f"https://host.org?sig=a@{SECRET}/b", "https://host.org"),
        (f"https://host.org#a@{SECRET}/b", "https://host.org"),
        (f"https://host.org:8080?sig=a@{SECRET}", "https://host.org:8080"),
        (f"https://[::1]:8080/a?sig={SECRET}", "https://[::1]:8080/a"),
        (f"https://me:{SECRET}?{SECRET}@host.org/a.tif?x=1", "https://host.org/a.tif"),
        (f"https://me:{SECRET}/{SECRET}@host.org/a.tif", "https://host.org/a.tif"),
        (f"https://host.org/with space?sig={SECRET} is missing", "https://host.org/with space is missing"),
        (f"'https://host.org/with space?sig=a {SECRET}' is missing", "'https://host.org/with space' is missing"),
        (f"'/vsicurl/https://host.org/a?{SECRET} {SECRET}'", "'/vsicurl/https://host.org/a'"),
        ("http://host.org/a.tif is missing; is it mounted?", "http://host.org/a.tif is missing; is it mounted?"),
        ("'https://a.org/x' or 'https://b.org/y'", "'https://a.org/x' or 'https://b.org/y'"),
        ("/data/tile_?.tif of someone@host.org", "/data/tile_?.tif of someone@host.org"),
    ],
)
def test_urls_lose_user_password_and_query(text, redacted):
    assert redact_urls(text) == redacted == str(InputError(text))


def test_a_librarys_message_is_one_line_without_queries_of_any_path():
    text = f"HTTPSConnectionPool(host='a.org'): exceeded with url: /x?sig={SECRET} (https://me:{SECRET}@a.org)\nmore"
    assert redact_library_message(text) == "HTTPSConnectionPool(host='a.org'): exceeded with url: /x (https://a.org)"
    assert redact_library_message("") == ""
