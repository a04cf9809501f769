"""A form with one file in it, taken apart as it comes, so that no byte of the file is stored twice."""

from __future__ import annotations

from collections.abc import Iterable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.core.errors import BadRequest, Unprocessable


class OneFile:
    """The body is ``multipart/form-data`` with one file in it, handed on as it is parsed."""

    def __init__(self, boundary: bytes) -> None:
        self.name: str | None = None
        self._parts = 0
        self._ended = False
        self._pieces: list[memoryview] = []
        self._header = [b"", b""]
        self._disposition = ""
        if not boundary:
            raise _malformed("its Content-Type names no boundary")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def feed(self, chunk: bytes) -> Iterable[memoryview]:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed(str(error)) from error
        pieces, self._pieces = self._pieces, []
        return pieces

    def end(self) -> None:
        if not self._ended:
            raise _malformed("the closing boundary is missing")
        if self._parts != 1:
            raise _not_one_file(f"There are {self._parts} parts.")

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise _not_one_file("There is more than one part.")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _on_header_end(self) -> None:
        field, value = self._header
        self._header = [b"", b""]
        if field.lower() == b"content-disposition":
            self._disposition = value.decode("latin-1")

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"filename" not in options:
            raise _not_one_file("The part is a field, not a file.")
        self.name = options[b"filename"].decode("utf-8", "replace")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(memoryview(data)[start:end])

    def _on_end(self) -> None:
        self._ended = True


def _malformed(reason: str) -> BadRequest:
    return BadRequest(
        f"The body is no multipart/form-data: {reason}.",
        code="multipart_malformed",
        hint="Let a library write it (curl -F file=@FILE), or send the bytes as they are.",
    )


def _not_one_file(what: str) -> Unprocessable:
    return Unprocessable(
        f"The form must hold exactly one file and nothing else. {what}",
        code="not_one_file",
        hint="Send one file: curl -F file=@model.onnx. Its name may be given as ?name=.",
    )
