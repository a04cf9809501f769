"""The HTTP service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_swagger import patch_fastapi
from starlette.exceptions import HTTPException

from app.api import catalog, datasets, explain, health, jobs, models, uploads
from app.api.declare import EVERYWHERE, problems
from app.api.deps import current_caller, refuse_unknown_parameters
from app.api.document import allowed_methods, describe, query_parameters
from app.api.middleware import Calls, Guard, Heads
from app.api.problem import answer_with_problem
from app.api.tus import Tus
from app.core.parts import open_parts
from app.core.settings import Settings, get_settings, require_key

_DESCRIPTION = """Makes trained models lean and proves it: upload a model, say what matters, get back the optimized
model, the numbers measured on the target machine, and a verdict that can be trusted."""


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or get_settings()
    require_key(settings)
    app = FastAPI(
        title="Enxuto",
        version=version("enxuto"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.query_parameters = query_parameters(app)
    app.state.allowed_methods = partial(allowed_methods, app)
    describe(app)
    for error in (RequestValidationError, HTTPException):
        app.add_exception_handler(error, answer_with_problem)
    app.add_middleware(Heads)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Calls)
    app.add_middleware(Tus)
    _add_routes(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.parts = open_parts(app.state.settings)
    yield
    app.state.parts.engine.dispose()


def _add_routes(app: FastAPI) -> None:
    v1 = APIRouter(
        prefix="/v1",
        dependencies=[Depends(current_caller), Depends(refuse_unknown_parameters)],
        responses=EVERYWHERE,
    )
    for router in (models.router, datasets.router, uploads.router, jobs.router, catalog.router):
        v1.include_router(router)
    app.include_router(v1)
    for router in (health.router, explain.router):
        app.include_router(router, dependencies=[Depends(refuse_unknown_parameters)], responses=problems(403, 422, 500))
    patch_fastapi(app, docs_url="/docs", redirect_from_root_to_docs=True)
