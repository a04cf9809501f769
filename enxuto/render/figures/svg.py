"""From matplotlib's SVG file to a figure inside a page: no style of its own, no names that two figures share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from markupsafe import Markup

from enxuto.render.figures.palette import VARIABLES

_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"(?:(?<=^#)|(?<=url\(#))[\w.-]+")
_OUTLINES = ("d", "x", "y", "width", "height", "transform", "points")
_DROPPED = frozenset({"metadata", "style"})


def inline(svg: str, name: str, title: str, description: str, tips: Mapping[str, str]) -> Markup:
    """``tips`` are told where the pointer rests on the group of that id; ``name`` makes references the page's own."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - written by matplotlib a moment ago
    for element in list(root.iter()):
        for child in [one for one in element if _tag(one) in _DROPPED or _is_unseen(one)]:
            element.remove(child)
    references = _references(root)
    new_ids = {old: f"{name}-{number}" for number, old in enumerate(sorted(references), 1)}
    for element in root.iter():
        _make_own(element, new_ids, tips)
    _announce(root, name, title, description)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - the serializer escapes all text


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _is_unseen(element: ElementTree.Element) -> bool:
    """A group of one background that is not painted."""
    inner = list(element)
    return (
        _tag(element) == "g" and len(inner) == 1 and inner[0].get("style", "").strip() in ("fill: none", "opacity: 0")
    )


def _references(root: ElementTree.Element) -> set[str]:
    return {
        found
        for element in root.iter()
        for name, value in element.attrib.items()
        if name in ("clip-path", "style") or name.endswith("href")
        for found in _REFERENCE.findall(value)
    }


def _make_own(element: ElementTree.Element, new_ids: Mapping[str, str], tips: Mapping[str, str]) -> None:
    element.tag = _tag(element)
    attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    old_id = attributes.pop("id", "")
    element.attrib.clear()
    for name, value in _restyled(attributes):
        element.set(name, _REFERENCE.sub(lambda found: new_ids.get(found[0], found[0]), value))
    if old_id in new_ids:
        element.set("id", new_ids[old_id])
    if old_id in tips:
        tip = ElementTree.Element("title")
        tip.text = tips[old_id]
        element.insert(0, tip)
    if element.tag != "text":
        element.text = None if element.tag != "title" else element.text
    element.tail = None


def _restyled(attributes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The same look by the page's variables; the page's font; no more digits than can be seen."""
    style = [one.strip() for one in attributes.get("style", "").split(";") if "font-family" not in one]
    if attributes.get("fill", "none") != "none":
        style.append(f"fill: {attributes['fill']}")
    for name, value in attributes.items():
        if name in _OUTLINES:
            value = " ".join(_NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value).split())
        if name in ("style", "fill", "version") or (name == "transform" and value.startswith("rotate(-0 ")):
            continue
        yield name, value
    if any(style):
        yield (
            "style",
            "; ".join(
                re.sub(r"#[0-9a-f]{6}", lambda found: VARIABLES.get(found[0], found[0]), one) for one in style if one
            ),
        )


def _announce(root: ElementTree.Element, name: str, title: str, description: str) -> None:
    """For those who hear the page; its size is the page's business."""
    for attribute in ("width", "height"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-description")
    for number, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{name}-{'description' if number else 'title'}"})
        element.text = text
        root.insert(number, element)
