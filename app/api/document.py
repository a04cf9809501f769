"""The OpenAPI document: what FastAPI derives from the routes, and the schemas of bodies and problems."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import TypeAdapter

from app.api.problem import Problem
from app.api.requests import JobBodyAdapter, ModelBody, RenameBody

Document = dict[str, Any]

_DECLARED: Mapping[str, TypeAdapter[Any]] = {
    "JobBody": JobBodyAdapter,
    "ModelBody": TypeAdapter(ModelBody),
    "Problem": TypeAdapter(Problem),
    "RenameBody": TypeAdapter(RenameBody),
}
"""Schemas that routes refer to by name (``app.api.declare``)."""
_REFERENCE = "#/components/schemas/"


def describe(app: FastAPI) -> None:
    """Let the app's document hold what routes refer to by name."""
    derive = app.openapi

    def openapi() -> Document:
        if app.openapi_schema is None:
            document = derive()
            _add_declared(document["components"]["schemas"])
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI's documentation shows


def query_parameters(app: FastAPI) -> Callable[[], Mapping[str, frozenset[str]]]:
    """Names of the query parameters by operation; asked for only once there is a call to check."""

    @cache
    def by_operation() -> Mapping[str, frozenset[str]]:
        operations = [each for path in app.openapi()["paths"].values() for each in path.values()]
        return {each["operationId"]: _query_names(each) for each in operations}

    return by_operation


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """What a path takes, over all of its routes."""
    methods = set[str]()
    for template, operations in app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(template).replace(r"\{path\}", ".+")), path):
            methods.update(method.upper() for method in operations)
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods)


def _query_names(operation: Document) -> frozenset[str]:
    return frozenset(each["name"] for each in operation.get("parameters", ()) if each["in"] == "query")


def _add_declared(schemas: Document) -> None:
    """Bodies and answers share names and differ in what is required: a body's own form is called ``…Input``."""
    inputs: list[tuple[str, Literal["validation"], TypeAdapter[Any]]]
    inputs = [(name, "validation", adapter) for name, adapter in _DECLARED.items()]
    by_key, rest = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE + "{model}")
    ours = rest["$defs"] | {name: schema for (name, _), schema in by_key.items() if "$ref" not in schema}
    renamed = {name: f"{name}Input" for name, schema in ours.items() if schemas.get(name, schema) != schema}
    for name, schema in ours.items():
        schemas[renamed.get(name, name)] = _with_references(schema, renamed)


def _with_references(schema: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(schema, dict):
        return {key: _with_references(value, renamed) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_with_references(value, renamed) for value in schema]
    if isinstance(schema, str) and schema.startswith(_REFERENCE):
        name = schema.removeprefix(_REFERENCE)
        return _REFERENCE + renamed.get(name, name)
    return schema
