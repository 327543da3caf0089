"""Markdown to HTML: headings one can link to, tables in boxes that scroll, coloured code, checked links."""

import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

LEXERS = {"sh": "bash", "python": "python", "diff": "diff", "yaml": "yaml", "bibtex": "bibtex"}
BOX = '<div class="scroll" tabindex="0" role="region" aria-label="Table">'
ABSOLUTE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.I)

Resolve = Callable[[str], str]  # a link as it is written in a file -> the link on the page


class Document(NamedTuple):
    """A page's text.

    Attributes:
      title: its first heading, plain.
      lead: its first paragraph, plain.
      opening, rest: HTML below the title, cut after the first paragraph.
    """

    title: str
    lead: str
    opening: str
    rest: str

    @property
    def body(self) -> str:
        """Everything below the title."""
        return self.opening + self.rest


def parse(text: str, resolve: Resolve, keep: Callable[[str], bool] = lambda block: True) -> Document:
    """A page from Markdown.

    Args:
      resolve: rewrites relative links; raises InputError where nothing is behind one.
      keep: tells from a top-level block's own Markdown whether it stays.
    """
    md = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    md.add_render_rule("table_open", lambda *_: BOX + "<table>\n")
    md.add_render_rule("table_close", lambda *_: "</table></div>\n")
    md.add_render_rule("fence", _fence)
    md.add_render_rule("code_block", _fence)
    blocks = [block for block in _blocks(md.parse(text)) if keep(_source(text, block))]
    _name_headings(blocks)
    for token in (inner for block in blocks for inner in block):
        _rewrite(token, resolve)
    first = blocks.pop(0) if blocks and blocks[0][0].tag == "h1" else []
    opening = 1 if blocks and blocks[0][0].type == "paragraph_open" else 0
    parts = (blocks[:opening], blocks[opening:])
    return Document(_plain(first), _plain(blocks[0]) if opening else "", *(_render(md, p) for p in parts))


def _blocks(tokens: Sequence[Token]) -> list[list[Token]]:
    """Tokens of each top-level block."""
    blocks: list[list[Token]] = []
    for token in tokens:
        if token.level == 0 and token.nesting >= 0:
            blocks.append([])
        blocks[-1].append(token)
    return blocks


def _source(text: str, block: Sequence[Token]) -> str:
    lines = block[0].map or (0, 0)
    return "\n".join(text.splitlines()[slice(*lines)])


def _render(md: MarkdownIt, blocks: Sequence[Sequence[Token]]) -> str:
    return md.renderer.render([token for block in blocks for token in block], md.options, {})


def _plain(block: Sequence[Token]) -> str:
    inline = [child for token in block for child in token.children or ()]
    return "".join(" " if child.type == "softbreak" else child.content for child in inline).strip()


def slug(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def _name_headings(blocks: Sequence[Sequence[Token]]) -> None:
    seen: dict[str, int] = {}
    for block in blocks:
        if block[0].type == "heading_open":
            name = slug(_plain(block))
            seen[name] = seen.get(name, -1) + 1
            block[0].attrSet("id", f"{name}-{seen[name]}" if seen[name] else name)


def _rewrite(token: Token, resolve: Resolve) -> None:
    for child in token.children or ():
        for key in {"link_open": ("href",), "image": ("src",)}.get(child.type, ()):
            child.attrSet(key, resolve(str(child.attrGet(key))))


def _fence(renderer, tokens: Sequence[Token], index: int, options, env) -> str:
    token = tokens[index]
    kind = token.info.strip()
    code = html.escape(token.content)
    if kind in LEXERS:
        code = highlight(token.content, get_lexer_by_name(LEXERS[kind]), HtmlFormatter(nowrap=True))
    return f'<pre tabindex="0"><code>{code}</code></pre>\n'


def relative(source: Path, href: str) -> Path | None:
    """The file of the repository that a link in `source` names; None for the web and for anchors."""
    path = href.partition("#")[0]
    if not path or ABSOLUTE.match(href):
        return None
    parts: list[str] = []
    for part in (source.parent / path).parts:
        parts = parts[:-1] if part == ".." and parts else [*parts, part]
    return Path(*parts)
