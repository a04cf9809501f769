"""A model from uploads that are whole: which of them is the ONNX file, and under which paths the others lie beside it.

Paths are a user's word. They are checked, kept and compared, and nothing is ever opened under one.
"""

from __future__ import annotations

from collections import Counter

from app.api.receive import Received, too_large
from app.api.requests import ModelBody
from app.core import resumable
from app.core.errors import Fault, NotFound, NotReady, Unprocessable
from app.core.parts import Parts
from app.core.records import UploadRecord
from app.core.several import File


def assemble(parts: Parts, tenant: str, body: ModelBody) -> Received:
    """The model's file, and those beside it, all of them in the blob store."""
    _check_paths([file.path for file in body.files])
    main = _main(body)
    uploads = [_upload(parts, tenant, file.upload, f"/files/{i}/upload") for i, file in enumerate(body.files)]
    sizes = [upload.offset_bytes for upload in uploads]
    if not sizes[main]:  # one of weights may be: a tensor without elements may lie in a file of its own
        raise _refused(
            "The ONNX file is empty.",
            code="upload_empty",
            hint="Check the path of the file that is sent.",
            pointer=f"/files/{main}/upload",
        )
    if sum(sizes) > parts.settings.max_upload_bytes:
        raise too_large(parts.settings)
    files = [File(resumable.settle(parts, upload), size) for upload, size in zip(uploads, sizes, strict=True)]
    beside = {given.path: file for i, (given, file) in enumerate(zip(body.files, files, strict=True)) if i != main}
    return Received(body.name, files[main].sha256, files[main].size_bytes, beside)


def _check_paths(paths: list[str]) -> None:
    times = Counter(paths)
    for position, path in enumerate(paths):
        pointer = f"/files/{position}/path"
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise _refused(
                f"The path {path[:120]!r} is not one below the model's folder.",
                code="file_path_invalid",
                hint="Give paths as the model calls its files, without '..', '.' or empty parts: weights/part-1.bin.",
                pointer=pointer,
            )
        if times[path] > 1:
            raise _refused(
                f"The path {path[:120]!r} is given to {times[path]} files.",
                code="file_path_repeated",
                hint="Give each file a path of its own.",
                pointer=pointer,
            )


def _main(body: ModelBody) -> int:
    """Position of the ONNX file."""
    paths = [file.path for file in body.files]
    models = [paths.index(body.name)] if body.name in paths else []
    models = models or [i for i, path in enumerate(paths) if path.lower().endswith(".onnx")]
    models = models or list(range(len(paths)))
    if len(models) != 1:
        raise _refused(
            f"It is not clear which of the {len(paths)} files is the ONNX file.",
            code="model_file_unclear",
            hint="Give the ONNX file the model's name as its path, or let no other path end in .onnx.",
            pointer="/files",
        )
    if "/" in paths[models[0]]:
        raise _refused(
            f"The ONNX file lies in a folder: '{paths[models[0]][:120]}'.",
            code="file_path_invalid",
            hint="Give all paths as seen from the ONNX file's folder, which the model calls its weights from.",
            pointer=f"/files/{models[0]}/path",
        )
    return models[0]


def _refused(detail: str, *, code: str, hint: str, pointer: str) -> Unprocessable:
    return Unprocessable(detail, code=code, hint=hint, errors=[Fault(code, detail, pointer=pointer)])


def _upload(parts: Parts, tenant: str, id_: str, pointer: str) -> UploadRecord:
    try:
        record = resumable.find(parts, tenant, id_)
    except NotFound as error:
        error.errors = [Fault(error.code, error.detail, pointer=pointer)]
        raise
    if not resumable.is_whole(record):
        raise NotReady(
            f"The upload '{id_}', which {pointer} names, has {record.offset_bytes} bytes of "
            f"{'how many is not known' if record.length_bytes is None else record.length_bytes}.",
            code="upload_not_whole",
            hint=f"Send the rest of it first: PATCH /v1/uploads/{id_}.",
            errors=[Fault("upload_not_whole", "It is not whole yet.", pointer=pointer)],
        )
    return record
