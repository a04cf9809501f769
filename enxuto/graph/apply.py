"""Applies one technique, with errors that name it."""

from __future__ import annotations

from dataclasses import replace

from enxuto.errors import BadInput, EnxutoError, NotApplicable
from enxuto.graph.mapped import forget_weights
from enxuto.recipe import recipe_name
from enxuto.techniques import AnyTechnique, Context, Work


def apply_technique(technique: AnyTechnique, work: Work, context: Context) -> Work:
    """Apply one technique; whatever goes wrong names it."""
    name = recipe_name([technique])
    try:
        if technique.needs_calibration and context.calibration is None and work.statistics is None:
            raise NotApplicable(
                "Ranges come from calibration data, and the job brings none.",
                code="calibration_data_missing",
                hint="Give a dataset for evaluation or calibration.",
            )
        technique.requires(work, context)
        done = technique.apply(work, context)
        forget_weights(work.model)
    except NotApplicable as error:
        raise NotApplicable(f"{name}: {error.detail}", code=error.code, hint=error.hint) from error
    except BadInput as error:
        raise BadInput(f"{name}: {error.detail}", code=error.code, hint=error.hint) from error
    except (EnxutoError, MemoryError):
        raise
    except Exception as error:
        raise EnxutoError(
            f"{name} failed unexpectedly: {type(error).__name__}: {error}",
            code="technique_failed",
            hint="This is a bug: please report it with the model.",
        ) from error
    notes = [f"{technique.kind}: {note}" for note in done.notes[len(work.notes) :]]
    return replace(done, notes=(*work.notes, *notes))
