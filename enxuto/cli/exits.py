"""How the command ends: exit codes, and errors as one paragraph."""

from __future__ import annotations

import sys

OK = 0
"""The job succeeded; for compare: it passed; for benchmark: what was asked of it holds."""
FAILED = 1
"""The answer is no: compare did not pass, a load that benchmark was asked about is not carried, or the model, the data
or the request was refused."""
USAGE = 2
"""The command line cannot be read; nothing was begun."""
NO_ANSWER = 3
"""There is no answer: a server that cannot be reached, a machine that ran out of something, a fault of Enxuto."""
INTERRUPTED = 130
"""Stopped by Ctrl-C; a job on a server was cancelled."""

HELP = """Exit codes: 0 the job succeeded (compare: passed; benchmark: what was asked of it holds); 1 the answer is no:
compare did not pass, benchmark found that a rate, a limit or a serving plan does not hold, or the model, the data or
the request was refused; 2 the command line cannot be read; 3 there is no answer: no server, no room, a fault of
Enxuto; 130 stopped by Ctrl-C."""


def explain(error: Exception) -> int | None:
    """Tell a person what went wrong, and return the exit code; None for what nobody foresaw."""
    from enxuto.errors import EnxutoError, sentences

    if not isinstance(error, EnxutoError):
        return None
    from rich.console import Console
    from rich.text import Text

    finding = error.finding
    told = Text.assemble(("error: ", "bold red"), sentences(finding.detail, finding.hint))
    told.append(f" [{finding.code}]", style="dim")
    Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty()).print(told)
    return FAILED if finding.fault == "user" else NO_ANSWER
