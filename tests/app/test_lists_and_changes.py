"""Lists, renames and deletions of models and datasets."""

from __future__ import annotations

import os
import secrets
from typing import Any

import httpx
import pytest

from tests.support.live_service import LiveService

BOTH = pytest.mark.parametrize("collection", ["models", "datasets"])


def pages(http: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        page = http.get(path, params={**params, **({"cursor": cursor} if cursor else {})}).json()
        found += page["items"]
        if (cursor := page["next_cursor"]) is None:
            return found


@BOTH
def test_a_list_goes_through_everything_once_newest_first(service: LiveService, collection: str) -> None:
    name = f"{secrets.token_hex(4)}.npz"
    ids = [service.upload(name, os.urandom(9), collection)["id"] for _ in range(7)]
    listed = [item["id"] for item in pages(service.http, f"/v1/{collection}", name=name, limit=3)]
    assert listed == ids[::-1]


def test_what_is_added_while_a_list_is_read_shifts_nothing(service: LiveService) -> None:
    name = f"{secrets.token_hex(4)}.onnx"
    ids = [service.upload(name, os.urandom(9))["id"] for _ in range(6)]
    first = service.http.get("/v1/models", params={"name": name, "limit": 2}).json()
    for _ in range(3):
        service.upload(name, os.urandom(9))
    rest = service.http.get("/v1/models", params={"name": name, "cursor": first["next_cursor"]}).json()
    assert [item["id"] for item in [*first["items"], *rest["items"]]] == ids[::-1]
    assert rest["next_cursor"] is None


def test_lists_can_be_narrowed(service: LiveService) -> None:
    model = service.upload(f"{secrets.token_hex(4)}.onnx", os.urandom(9))
    for narrowed in ({"sha256": model["sha256"]}, {"name": model["name"], "state": "inspecting"}):
        assert [item["id"] for item in pages(service.http, "/v1/models", **narrowed)] == [model["id"]]
    assert pages(service.http, "/v1/models", name=model["name"], state="ready") == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=5.0", "limit=+5", "limit=x", "cursor=%00", "cursor=!!", "cursor=", "state=fine",
     "nmae=x", "limit=1&limit=2", "name=%00", "cursor=w6nDqQ"],
)  # fmt: skip
def test_a_list_refuses_parameters_that_mean_nothing(http: httpx.Client, query: str) -> None:
    answer = http.get(f"/v1/models?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameters")
    assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


@BOTH
def test_a_rename_needs_the_version_that_was_seen(service: LiveService, collection: str) -> None:
    http, id_ = service.http, service.upload("a.npz", os.urandom(9), collection)["id"]
    place = f"/v1/{collection}/{id_}"
    tag = http.get(place).headers["etag"]
    blind = http.patch(place, json={"name": "b.npz"})
    assert (blind.status_code, blind.json()["code"]) == (428, "if_match_required")
    renamed = http.patch(place, json={"name": "b.npz"}, headers={"If-Match": tag})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "b.npz")
    late = http.patch(place, json={"name": "c.npz"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "if_match_failed")
    assert late.headers["etag"] == renamed.headers["etag"] == http.get(place).headers["etag"]
    assert http.get(place).json()["name"] == "b.npz"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"name": 3}, "/name"), ({"name": "a/b"}, "/name"), ({}, "/name"), ({"name": "b", "state": "ready"}, "/state")],
)
def test_a_rename_refuses_anything_but_a_name(service: LiveService, body: dict[str, Any], pointer: str) -> None:
    place = f"/v1/models/{service.upload('a.onnx', os.urandom(9))['id']}"
    answer = service.http.patch(place, json=body, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_resource_that_did_not_change_is_not_sent_again(service: LiveService) -> None:
    place = f"/v1/models/{service.upload('a.onnx', os.urandom(9))['id']}"
    tag = service.http.get(place).headers["etag"]
    assert service.http.get(place, headers={"If-None-Match": tag}).status_code == 304


@BOTH
def test_a_deletion_takes_the_row_and_lets_go_of_the_bytes(service: LiveService, collection: str) -> None:
    id_ = service.upload("a.npz", os.urandom(9), collection)["id"]
    [job] = service.http.get("/v1/jobs", params={"model": id_}).json()["items"]
    place = f"/v1/{collection}/{id_}"
    refused = service.http.delete(place, headers={"If-Match": "*"})
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert job["id"] in refused.json()["detail"]
    service.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert service.http.delete(place).status_code == 428
    assert service.http.delete(place, headers={"If-Match": "*"}).status_code == 204
    assert service.http.get(place).status_code == 404
    assert service.http.get(f"{place}/content").status_code == 404


@pytest.mark.parametrize("id_", ["mdl_" + "0" * 26, "mdl_x", "%00", "dst_" + "0" * 26, "é"])
def test_what_is_not_there_is_the_same_404(http: httpx.Client, id_: str) -> None:
    for answer in (http.get(f"/v1/models/{id_}"), http.get(f"/v1/models/{id_}/content")):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
