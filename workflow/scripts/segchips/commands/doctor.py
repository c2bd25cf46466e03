"""The command `segchips doctor`: checks an installation, and says what to mend."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from segchips.commands.finding import Finding
from segchips.commands.machine_checks import check_machine, check_slurm
from segchips.commands.software_checks import check_gdal, check_packages, check_proj, check_python
from segchips.commands.stored_credentials import check_credentials

_Check = Callable[[], Iterator[Finding]]


def examine(folder: Path) -> list[Finding]:
    """Run all checks; one that breaks is a finding of its own.

    Args:
        folder: Where runs are started, and results are written to.
    """
    checks: Sequence[tuple[str, _Check]] = (
        ("Python", check_python),
        ("packages", check_packages),
        ("GDAL", check_gdal),
        ("PROJ", check_proj),
        ("credentials", check_credentials),
        ("machine", lambda: check_machine(folder)),
        ("SLURM", check_slurm),
    )
    return [finding for subject, check in checks for finding in _complete(subject, check)]


def _complete(subject: str, check: _Check) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:  # a broken installation fails in ways that no check knows
        reason = str(error).partition("\n")[0][:200]
        advice = "install again: make run, or pip install '.[workflow]'"
        yield Finding("fail", subject, f"cannot be checked ({reason}); {advice}")


def summary(findings: Sequence[Finding]) -> str:
    """Return the findings as text, with a last line that counts them."""
    failed, noted = (sum(finding.state == state for finding in findings) for state in ("fail", "note"))
    last = f"{failed} to mend, {noted} to know" if failed else f"nothing to mend, {noted} to know"
    return "\n".join([*map(str, findings), last])
