"""Measure documents: that they exist, say what they must, and that their links lead somewhere."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from collectors.markdown import Markdown, parse_markdown
from decision.collect import DocumentFile
from evidence.measurement import AttachmentContent, LeftOut, Measurement, Outcome
from evidence.record import Record
from evidence.replay import Attached, Recomputed, attached_json
from evidence.results import Document, DocumentationResult
from processes.errors import UsageError

_FACTS = "checked-documents.json"


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
    facts, attachments = [], []
    for file in files:
        fact, content = _look_at(file, base / file.path)
        facts.append(fact)
        if content is not None:
            attachments.append(AttachmentContent(str(file.path), "text/markdown", content))
    kept = json.dumps({"documents": facts}, indent=1, ensure_ascii=False).encode()
    result, external = result_of(json.loads(kept), {a.name: a.content for a in attachments})
    left_out = [LeftOut("links to other hosts", external, "nothing outside this machine is asked")] if external else []
    return Measurement(
        result=result,
        outcome=_outcome(result),
        summary=f"{result.complete} of {result.documents} documents complete, {result.lines} lines",
        started_at=started_at,
        finished_at=datetime.now(UTC),
        parameters={"documents": len(files)},
        tools={"markdown-it-py": version("markdown-it-py")},
        left_out=left_out,
        attachments=[*attachments, AttachmentContent(_FACTS, "application/json", kept)],
    )


def result_of(facts: Mapping[str, Any], contents: Mapping[str, bytes]) -> tuple[DocumentationResult, int]:
    """The result from the documents and what was around them, and how many links lead to other hosts.

    ``facts`` holds for each document what is required of it, why it could not be read (None: it could), and as
    ``targets`` what its links to other files found: each path with the anchors there, None when no link names one.
    """
    documents, external = [], 0
    for fact in facts["documents"]:
        file = DocumentFile.model_validate(fact["required"])
        if fact["unreadable"] is not None:
            documents.append(
                _document(file, title=file.title, problems=[fact["unreadable"]], missing=list(file.sections))
            )
            continue
        document, links = _measure(file, contents[str(file.path)].decode(), fact["targets"])
        documents.append(document)
        external += links
    complete = sum(_is_complete(document) for document in documents)
    lines = sum(document.lines for document in documents)
    return DocumentationResult(documents=len(documents), complete=complete, lines=lines, details=documents), external


def replay_documentation(_record: Record, attachments: Attached) -> Recomputed:
    """Result and outcome again, from the attached documents. Raises UnrecordedError."""
    result, _ = result_of(attached_json(attachments, _FACTS), attachments)
    return Recomputed(result, _outcome(result))


def _outcome(result: DocumentationResult) -> Outcome:
    return "passed" if result.complete == result.documents else "failed"


def _is_complete(document: Document) -> bool:
    return not (document.missing_sections or document.dead_links or document.problems)


def _look_at(file: DocumentFile, path: Path) -> tuple[dict[str, Any], bytes | None]:
    """What there is at ``path`` and where its links lead, and its content (None when it cannot be read)."""
    fact: dict[str, Any] = {"required": file.model_dump(mode="json"), "unreadable": None, "targets": {}}
    try:
        content = path.read_bytes()
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        return fact | {"unreadable": why}, None
    for link in parse_markdown(text).links:
        parts = urlsplit(link)
        target = path.parent / unquote(parts.path)
        if parts.scheme or parts.netloc or not parts.path or not target.exists():
            continue
        anchors = fact["targets"].setdefault(parts.path, None)
        if anchors is None and parts.fragment and target.suffix.lower() == ".md":
            fact["targets"][parts.path] = sorted(_anchors_of(target))
    return fact, content


def _measure(file: DocumentFile, text: str, targets: Mapping[str, list[str] | None]) -> tuple[Document, int]:
    """One document, and the number of its links to other hosts."""
    markdown = parse_markdown(text)
    lines = text.count("\n") + (not text.endswith("\n"))
    problems = [] if text.strip() else ["is empty"]
    if lines < file.lines_at_least:
        problems.append(f"{lines} lines, at least {file.lines_at_least} required")
    dead, external = _follow(markdown, targets)
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
    return document, external


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


def _follow(markdown: Markdown, targets: Mapping[str, list[str] | None]) -> tuple[list[str], int]:
    """The dead links of a document whose links to other files found ``targets``, and how many lead to other hosts."""
    dead, external = [], 0
    for link in markdown.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            external += 1
            continue
        if parts.path and parts.path not in targets:
            dead.append(link)
        elif parts.fragment:
            anchors = targets[parts.path] if parts.path else markdown.anchors
            if anchors is not None and unquote(parts.fragment) not in anchors:
                dead.append(link)
    return dead, external


def _anchors_of(path: Path) -> frozenset[str]:
    return parse_markdown(path.read_text(errors="replace")).anchors
