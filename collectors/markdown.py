"""What a Markdown document consists of: its sections, the anchors that links can point at, and its links."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True)
class Markdown:
    """One parsed document. ``empty_sections`` are headings that nothing but headings of the same rank follow."""

    headings: tuple[str, ...]
    empty_sections: frozenset[str]
    anchors: frozenset[str]
    links: tuple[str, ...]


def parse_markdown(text: str) -> Markdown:
    """Parse CommonMark. Anchors are made as GitHub makes them: lower case, punctuation dropped, repeats numbered."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    headings = list(_headings(tokens))
    return Markdown(
        headings=tuple(title for title, _, _ in headings),
        empty_sections=frozenset(_empty_sections(headings, len(tokens))),
        anchors=frozenset(_anchors([title for title, _, _ in headings])) | frozenset(_html_anchors(tokens)),
        links=tuple(_links(tokens)),
    )


def _headings(tokens: Sequence[Token]) -> Iterator[tuple[str, int, int]]:
    """Title, rank and position in ``tokens`` of each heading."""
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            inline = tokens[position + 1]
            title = "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))
            yield title.strip(), int(token.tag[1]), position


_TOKENS_OF_A_HEADING = 3


def _empty_sections(headings: Sequence[tuple[str, int, int]], end: int) -> Iterator[str]:
    for (title, rank, position), (_, next_rank, next_position) in pairwise([*headings, ("", 0, end)]):
        if next_position == position + _TOKENS_OF_A_HEADING and next_rank <= rank:
            yield title


def _anchors(titles: Sequence[str]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for title in titles:
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        yield f"{slug}-{count}" if count else slug


def _html_anchors(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        for part in (token, *(token.children or [])):
            if part.type in ("html_block", "html_inline"):
                yield from re.findall(r"\b(?:id|name)=[\"']([^\"']+)[\"']", part.content)


def _links(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        for part in token.children or []:
            if target := part.attrGet("href") or part.attrGet("src"):
                yield str(target)
