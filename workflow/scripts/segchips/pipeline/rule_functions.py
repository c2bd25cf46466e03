"""Functions that rules call with wildcards."""

import inspect
from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


def with_parameters(*names: str) -> Callable[[Function], Function]:
    """Return a decorator that says which parameters a function has: Snakemake asks several times for each job."""

    def decorate(function: Function) -> Function:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        function.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
        return function

    return decorate
