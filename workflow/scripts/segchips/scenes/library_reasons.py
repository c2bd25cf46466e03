"""What errors of libraries say, for messages to users."""

from segchips.errors import redact_library_message

_LONGEST = 300


def library_reason(error: Exception) -> str:
    """Return what an error says in one line that is safe to show, without the name of its class."""
    if isinstance(error, KeyError):
        return redact_library_message(f"it lacks {error}")[:_LONGEST]
    if isinstance(error, OSError) and error.strerror and not error.args[2:]:
        return redact_library_message(error.strerror)[:_LONGEST]
    return redact_library_message(str(error) or "no reason is given")[:_LONGEST]
