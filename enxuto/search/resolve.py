"""What was asked, with nothing left open: every default written down as it follows from the model and the data."""

from __future__ import annotations

from enxuto.errors import BadInput
from enxuto.fit import check_fit, check_inputs
from enxuto.goal import Goal
from enxuto.metric import Metric
from enxuto.request import BenchmarkOptions, CompareOptions, OptimizeOptions, ProfileOptions
from enxuto.scenario import Offline, Scenario
from enxuto.settings import DEFAULT_SETTINGS
from enxuto.signature import DatasetInput, ModelInput
from enxuto.workload import LARGEST_BATCH, Workload


def resolve_optimize(request: OptimizeOptions, model: ModelInput, evaluation: DatasetInput | None) -> OptimizeOptions:
    """Raises BadInput where the data does not fit the model."""
    _check_can_be_run(model)
    _check_dims(request.workload, model)
    fits = _fit(request, model, evaluation) if evaluation else None
    return request.model_copy(
        update={
            "goal": request.goal or (None if request.recipe else Goal()),
            "metric": fits,
            "workload": _as_the_model_takes_it(request.workload, model),
        }
    )


def resolve_compare(
    request: CompareOptions, model: ModelInput, against: ModelInput, evaluation: DatasetInput | None
) -> CompareOptions:
    """Raises BadInput where the models do not fit each other or the data, or where there is none to judge by."""
    if evaluation is None and request.thresholds.max_drop is not None:
        raise BadInput(
            "A limit on what may be lost of the metric needs evaluation data; none is given.",
            code="evaluation_data_missing",
            hint="Give evaluation data, or leave max_drop out of the thresholds.",
        )
    _check_alike(model, against)
    _check_can_be_run(model)
    _check_dims(request.workload, model, against)
    fits = [_fit(request, subject, evaluation) for subject in (against, model)] if evaluation else [None]
    workload = _as_the_model_takes_it(_as_the_model_takes_it(request.workload, model), against)
    usual = DEFAULT_SETTINGS[workload.runtimes[0]]
    return request.model_copy(
        update={
            "metric": fits[-1],
            "workload": workload,
            "settings": request.settings or usual,
            "against_settings": request.against_settings or usual,
        }
    )


def resolve_benchmark(request: BenchmarkOptions, model: ModelInput, samples: DatasetInput | None) -> BenchmarkOptions:
    """Batches are the scenario's: the workload's own batch size stays one.

    Raises:
        BadInput: the model cannot be run, or the data does not fit it.
    """
    workload = request.workload
    _check_can_be_run(model)
    _check_dims(workload, model)
    _as_the_model_takes_it(workload, model)
    if samples is not None:
        check_inputs(model.inspection, samples.inspection, request.preprocessing)
    runtimes = workload.runtimes if isinstance(request.scenario, Offline) else workload.runtimes[:1]
    return request.model_copy(
        update={
            "scenario": _resolved_scenario(request.scenario, workload, model),
            "settings": request.settings or [DEFAULT_SETTINGS[name] for name in dict.fromkeys(runtimes)],
            "workload": workload,
        }
    )


def resolve_profile(
    request: ProfileOptions, model: ModelInput, against: ModelInput | None, samples: DatasetInput | None
) -> ProfileOptions:
    """Raises BadInput where the models cannot be run, or do not fit each other or the data."""
    models = [model, against] if against else [model]
    for subject in models:
        _check_can_be_run(subject)
    if against is not None:
        _check_alike(model, against)
    _check_dims(request.workload, *models)
    workload = request.workload
    for subject in models:
        workload = _as_the_model_takes_it(workload, subject)
        if samples is not None:
            check_inputs(subject.inspection, samples.inspection, request.preprocessing)
    settings = request.settings or DEFAULT_SETTINGS[workload.runtimes[0]]
    beside = request.against_settings or DEFAULT_SETTINGS[workload.runtimes[0]]
    return request.model_copy(
        update={"workload": workload, "settings": settings, "against_settings": beside if against else None}
    )


def _resolved_scenario(scenario: Scenario, workload: Workload, model: ModelInput) -> Scenario:
    """Batch sizes are left open where they are searched."""
    if not isinstance(scenario, Offline):
        return scenario
    fixed = model.inspection.batch_size
    sizes = scenario.batch_sizes or (None if fixed is None else [fixed])
    return scenario.model_copy(update={"batch_sizes": sizes, "threads": scenario.threads or [workload.threads]})


def _fit(request: OptimizeOptions | CompareOptions, model: ModelInput, evaluation: DatasetInput) -> Metric:
    return check_fit(model.inspection, evaluation.inspection, request.preprocessing, request.metric)


def _as_the_model_takes_it(workload: Workload, model: ModelInput) -> Workload:
    """A fixed batch axis is taken as it is."""
    fixed = model.inspection.batch_size
    if fixed is not None and not 1 <= fixed <= LARGEST_BATCH:
        raise BadInput(
            f"'{model.name}' takes batches of {fixed:,} samples only; 1 to {LARGEST_BATCH:,} can be run here.",
            code="batch_out_of_bounds",
            hint="Export the model with a dynamic batch axis, or a smaller one.",
        )
    return workload if fixed is None else workload.model_copy(update={"batch_size": fixed})


def _check_can_be_run(model: ModelInput) -> None:
    if other := [spec.name for spec in model.inspection.inputs if spec.dtype in ("string", "unknown")]:
        raise BadInput(
            f"The model '{model.name}' takes what datasets do not hold: {', '.join(other)} (text, sequences or maps).",
            code="input_not_drawable",
            hint="Only models whose inputs are tensors of numbers can be measured.",
        )


def _check_dims(workload: Workload, *models: ModelInput) -> None:
    """A name that is mistyped would be passed over, and something else measured."""
    inputs = [spec for model in models for spec in model.inspection.inputs]
    symbols = {axis for spec in inputs for axis in spec.shape or [] if isinstance(axis, str)}
    if unknown := sorted(workload.dims.keys() - symbols):
        raise BadInput(
            f"workload.dims names {_quoted(unknown)}; the symbolic axes of the inputs are: "
            f"{_quoted(sorted(symbols)) or 'none'}.",
            code="unknown_dim",
            hint="Name the axes as the model's inspection does; axes with a number or without a name cannot be set.",
        )


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:20])


def _check_alike(model: ModelInput, against: ModelInput) -> None:
    """The same inputs and outputs by name and type: else there is nothing to compare."""
    for what in ("inputs", "outputs"):
        new = {spec.name: spec.dtype for spec in getattr(model.inspection, what)}
        old = {spec.name: spec.dtype for spec in getattr(against.inspection, what)}
        if new != old:
            raise BadInput(
                f"The two models differ in their {what}: '{model.name}' has {_listed(new)}, "
                f"'{against.name}', which it is held against, has {_listed(old)}.",
                code="models_differ",
                hint="Compare models of the same task with inputs and outputs of the same names and types.",
            )
    batches = {subject.inspection.batch_size for subject in (model, against)} - {None}
    if len(batches) > 1:
        raise BadInput(
            f"'{model.name}' takes batches of {model.inspection.batch_size} only, '{against.name}' of "
            f"{against.inspection.batch_size}: there is no batch size at which both run.",
            code="models_differ",
            hint="Export one of them with a dynamic batch axis.",
        )


def _listed(specs: dict[str, str]) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in specs.items()) or "none"
