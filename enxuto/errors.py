"""The library's errors.

    EnxutoError
    ├── BadInput           the model, the data or the request is at fault (a finding)
    │   └── NotApplicable  a technique cannot do its work on this model
    ├── OutOfCapacity      the machine ran out: memory, disk, time
    ├── StepCrashed        a step's process died or misbehaved
    ├── Reported           a finding that was made elsewhere
    └── Interrupted        told to stop; nothing is wrong

Each carries a stable ``code``, a ``detail`` that says what was wrong and where, and a ``hint`` that says what to do.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from enxuto.schema import Value

Fault = Literal["user", "capacity", "internal"]
"""Who can mend it: the user (model, data or request), the machine's operator, or the developers."""


def sentences(detail: str, hint: str) -> str:
    """Both in one line; what a runtime said often ends without a full stop. A detail that points at a place in a text
    has lines of its own."""
    if not hint:
        return detail
    if detail.endswith("^"):
        return f"{detail}\n{hint}"
    return f"{detail}{'' if detail.endswith(('.', '!', '?', '…')) else '.'} {hint}"


class Finding(Value):
    """What was wrong with an input or a step, as data."""

    code: str
    """Stable, snake_case; one documentation page each under ``/problems/{code}``."""
    detail: str
    """What was wrong and where."""
    hint: str = ""
    """What to do about it."""
    fault: Fault = "user"
    inapplicable: bool = False
    """Whether a technique says that it has nothing to do on this model: a reason, and no failure."""


class EnxutoError(Exception):
    """Base of all errors raised on purpose."""

    fault: ClassVar[Fault] = "internal"
    default_code: ClassVar[str] = "internal"

    def __init__(self, detail: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(detail)
        self.code = code or self.default_code
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        return sentences(self.detail, self.hint)

    @property
    def finding(self) -> Finding:
        return Finding(code=self.code, detail=self.detail, hint=self.hint, fault=self.fault)


class BadInput(EnxutoError):
    """The model, the data or the request is at fault."""

    fault: ClassVar[Fault] = "user"
    default_code = "bad_input"


class NotApplicable(BadInput):
    """A technique cannot do its work on this model; the reason is the detail."""

    default_code = "not_applicable"

    @property
    def finding(self) -> Finding:
        return super().finding.model_copy(update={"inapplicable": True})


class OutOfCapacity(EnxutoError):
    """Memory, disk or time ran out."""

    fault: ClassVar[Fault] = "capacity"
    default_code = "out_of_capacity"


class StepCrashed(EnxutoError):
    """A step's process died, or left something that does not validate."""

    default_code = "step_crashed"


class Reported(EnxutoError):
    """A finding that was made elsewhere, such as in a step's process, raised here."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail, code=finding.code, hint=finding.hint)
        self._finding = finding

    @property
    def finding(self) -> Finding:
        return self._finding


class Interrupted(EnxutoError):
    """Told to stop: a cancel, a deadline, a lost lease, a shutdown."""

    default_code = "interrupted"
