"""Tells from a file's first bytes what was uploaded in place of an ONNX model, without opening it any further.

Nothing here unpickles, decompresses or follows a path: a zip's list of members and the head of the file are enough.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from enxuto.dataset.zip_directory import zip_directory_bytes
from enxuto.errors import BadInput

_HEAD_BYTES = 4096
_LARGEST_DIRECTORY = 1 << 24
_EXPORT = "Export the model to ONNX where its class is at hand: torch.onnx.export(model, args, 'model.onnx')."


def refuse_foreign_file(path: Path, name: str) -> None:
    """Raise a finding where a file is certainly no ONNX model; what passes may still not be one."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    _refuse_nothing(head, name)
    _refuse_pickle(head, name)
    _refuse_archive(path, head, name)
    _refuse_other_model(head, name)
    _refuse_text(head, name)


def _refuse_nothing(head: bytes, name: str) -> None:
    if not head:
        raise BadInput(
            f"{name} is empty (0 bytes).",
            code="empty_file",
            hint="Check that it was written in full, and upload again.",
        )
    if head.startswith(b"version https://git-lfs"):
        raise BadInput(
            f"{name} is a Git LFS pointer, not the file that it stands for.",
            code="git_lfs_pointer",
            hint="Fetch the real file with 'git lfs pull', then upload it.",
        )


def _refuse_pickle(head: bytes, name: str) -> None:
    """A pickle from protocol 2 on opens with PROTO and its number; older ones of PyTorch hold no tensors."""
    if re.match(rb"\x80[\x02-\x05][\x28-\x95]", head):
        raise _pickle(name, "a Python pickle")


def _pickle(name: str, what: str) -> BadInput:
    return BadInput(
        f"{name} is {what}: loading one can run any code, so it is never opened here.",
        code="pickle_refused",
        hint=_EXPORT,
    )


def _refuse_archive(path: Path, head: bytes, name: str) -> None:
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"\x28\xb5\x2f\xfd", b"Rar!")):
        raise _compressed(name)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        raise _zip_finding(path, name)
    if head[257:262] == b"ustar":
        raise _compressed(name)


def _compressed(name: str) -> BadInput:
    return BadInput(
        f"{name} is an archive or a compressed file.",
        code="archive_refused",
        hint="Unpack it and upload the .onnx file that it holds.",
    )


def _zip_finding(path: Path, name: str) -> BadInput:
    members = {member.partition("/")[2] or member for member in _zip_members(path)}
    top = {member.partition("/")[0] for member in members}
    if "constants.pkl" in members or "code" in top:
        return _other(name, "a TorchScript program", _EXPORT)
    if any(member.startswith("models/") and member.endswith(".json") for member in members) or (
        "serialized_exported_program.json" in members
    ):
        hint = "Export it to ONNX: torch.onnx.export(torch.export.load('model.pt2'), f='model.onnx')."
        return _other(name, "a torch.export program (.pt2)", hint)
    if any(member.endswith(".pkl") for member in members):
        return _pickle(name, "a pickled PyTorch checkpoint")
    if {"config.json", "metadata.json"} <= members:
        return _other(name, "a Keras model", "Export it to ONNX: model.export('model.onnx', format='onnx').")
    if any(member.endswith(".npy") for member in members):
        return _other(name, "a NumPy archive (.npz)", "Upload it as a dataset.")
    return _compressed(name)


def _zip_members(path: Path) -> list[str]:
    if (zip_directory_bytes(path) or 0) > _LARGEST_DIRECTORY:
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError):
        return []


def _refuse_other_model(head: bytes, name: str) -> None:
    if re.match(rb".{7}\x00\{\s*\"", head, re.DOTALL):
        raise _other(name, "a safetensors file, which holds weights without a graph", _EXPORT)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        raise _other(name, "an HDF5 file, as Keras writes", "Convert it to ONNX with tf2onnx or Keras 3's export.")
    if head[4:8] == b"TFL3":
        raise _other(name, "a TensorFlow Lite model", "Convert it to ONNX with 'python -m tf2onnx.convert --tflite'.")
    if head[4:8] == b"ORTM":
        raise _other(name, "an ONNX Runtime format model (.ort)", "Upload the .onnx file that it was converted from.")
    if head.startswith(b"\x93NUMPY"):
        raise _other(name, "a NumPy array", "Save arrays with np.savez and upload them as a dataset.")
    if head.startswith(b"GGUF"):
        raise _other(name, "a GGUF model", "Export the original model to ONNX.")
    if re.match(rb"\s*(<\?xml[^>]*>\s*)?<net\b", head):
        raise _other(name, "an OpenVINO model", "Upload the ONNX model that it was converted from.")


def _other(name: str, what: str, hint: str) -> BadInput:
    return BadInput(f"{name} is {what}; this version takes ONNX.", code="unsupported_format", hint=hint)


def _refuse_text(head: bytes, name: str) -> None:
    """A protobuf message has control characters within its first few bytes; text has none."""
    if re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        return
    if re.match(rb"\s*(<!doctype html|<html|<head|<body)", head, re.IGNORECASE):
        what, hint = "a web page", "The download link probably led to a page: fetch the file itself."
    elif re.match(rb"\s*[{\[]", head):
        what, hint = "JSON text", "Upload the binary .onnx file."
    elif re.match(rb"\s*<", head):
        what, hint = "XML text", "Upload the binary .onnx file."
    else:
        what, hint = "text", "Upload the binary .onnx file."
    raise BadInput(f"{name} is {what}, not a model.", code="not_a_model", hint=hint)
