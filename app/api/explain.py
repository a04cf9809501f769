"""Pages for people who met an error: what its code means and what to do."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from markdown_it import MarkdownIt

from app.api.declare import problems
from app.core.errors import NotFound
from app.core.problem_pages import ProblemPage, problem_pages

router = APIRouter(prefix="/problems", tags=["problems"], default_response_class=HTMLResponse)

_markdown = MarkdownIt("commonmark", {"html": False})
_FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}}
code{{background:#8882;padding:.1em .3em;border-radius:3px}}@media(prefers-color-scheme:dark){{body{{background:#111;
color:#ddd}}a{{color:#8bf}}}}</style></head><body>
{body}
<p><a href="/problems">All problems</a></p></body></html>"""
_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


@router.get("")
async def list_problems() -> HTMLResponse:
    """Every error code there is."""
    entries = [f'<li><a href="/problems/{p.code}"><code>{p.code}</code></a> {escape(p.title)}</li>' for p in _all()]
    return _page("Problems", f"<h1>Problems</h1><ul>{''.join(entries)}</ul>")


@router.get("/{code}", responses=problems(404))
async def explain_problem(code: str) -> HTMLResponse:
    """What an error code means, and what to do about it."""
    page = problem_pages().get(code)
    if page is None:
        raise NotFound(f"There is no problem '{code}'.", code="not_found", hint="GET /problems lists them all.")
    return _page(page.title, f"<h1>{escape(page.title)}</h1><p><code>{code}</code></p>{_markdown.render(page.text)}")


def _all() -> list[ProblemPage]:
    return sorted(problem_pages().values(), key=lambda page: page.code)


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(_FRAME.format(title=escape(title), body=body), headers=_POLICY)
