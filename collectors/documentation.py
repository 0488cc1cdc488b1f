"""Measure documents: that they exist, say what they must, and that their links lead somewhere."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from collectors.markdown import Markdown, parse_markdown
from decision.collect import DocumentFile
from evidence.measurement import AttachmentContent, LeftOut, Measurement
from evidence.results import Document, DocumentationResult
from processes.errors import UsageError


def check_documents(files: Sequence[DocumentFile], *, base: Path) -> Measurement:
    """Measure Markdown documents whose paths are relative to ``base``; returns a DocumentationResult.

    A document is complete when it exists, has every required section with something in it, has at least the required
    lines (blank ones count too, as ``wc -l`` counts them), and no dead link to a file or heading. A missing document
    is a problem like any other. Links to other hosts are not followed: they are counted as left out. Raises
    UsageError when there are no documents to measure.
    """
    if not files:
        raise UsageError("there are no documents to check")
    started_at = datetime.now(UTC)
    documents, external, attachments = [], 0, []
    for file in files:
        path = base / file.path
        document, links, content = _measure(file, path)
        documents.append(document)
        external += links
        if content is not None:
            attachments.append(AttachmentContent(str(file.path), "text/markdown", content))
    complete = sum(_is_complete(document) for document in documents)
    lines = sum(document.lines for document in documents)
    left_out = [LeftOut("links to other hosts", external, "nothing outside this machine is asked")] if external else []
    return Measurement(
        result=DocumentationResult(documents=len(documents), complete=complete, lines=lines, details=documents),
        outcome="passed" if complete == len(documents) else "failed",
        summary=f"{complete} of {len(documents)} documents complete, {lines} lines",
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={"documents": len(documents)},
        tools={"markdown-it-py": version("markdown-it-py")},
        left_out=left_out,
        attachments=attachments,
    )


def _is_complete(document: Document) -> bool:
    return not (document.missing_sections or document.dead_links or document.problems)


def _measure(file: DocumentFile, path: Path) -> tuple[Document, int, bytes | None]:
    """One document, the number of its links to other hosts, and its content (None when it cannot be read)."""
    try:
        content = path.read_bytes()
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        return _document(file, title=file.title, problems=[why], missing=list(file.sections)), 0, None
    markdown = parse_markdown(text)
    lines = text.count("\n") + (not text.endswith("\n"))
    problems = [] if text.strip() else ["is empty"]
    if lines < file.lines_at_least:
        problems.append(f"{lines} lines, at least {file.lines_at_least} required")
    dead, external = _follow(markdown, path)
    titles = {heading.casefold() for heading in markdown.headings}
    empty = {heading.casefold() for heading in markdown.empty_sections}
    problems += [f"section {section} is empty" for section in file.sections if section.casefold() in empty]
    document = _document(
        file,
        title=file.title or (markdown.headings[0] if markdown.headings else file.path.stem),
        lines=lines,
        missing=[section for section in file.sections if section.casefold() not in titles],
        dead=dead,
        problems=problems,
    )
    return document, external, content


def _document(
    file: DocumentFile,
    *,
    title: str,
    problems: list[str],
    lines: int = 0,
    missing: list[str] | None = None,
    dead: list[str] | None = None,
) -> Document:
    return Document(
        path=str(file.path),
        title=title or file.path.stem,
        lines=lines,
        missing_sections=missing or [],
        dead_links=dead or [],
        problems=problems,
    )


def _follow(markdown: Markdown, path: Path) -> tuple[list[str], int]:
    """The dead links of the document at ``path``, and how many lead to other hosts."""
    dead, external = [], 0
    for link in markdown.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            external += 1
            continue
        target = path.parent / unquote(parts.path) if parts.path else path
        if not target.exists():
            dead.append(link)
        elif parts.fragment and target.suffix.lower() == ".md":
            anchors = markdown.anchors if target == path else _anchors_of(target)
            if unquote(parts.fragment) not in anchors:
                dead.append(link)
    return dead, external


def _anchors_of(path: Path) -> frozenset[str]:
    return parse_markdown(path.read_text(errors="replace")).anchors
