"""What a check of the installation finds."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        state: ok, note (works, but know this) or fail (a run would fail).
        subject: What was checked.
        text: What was found and, unless it is ok, what to do. It holds no secret.
    """

    state: Literal["ok", "note", "fail"]
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:5} {self.subject:12} {self.text}"
