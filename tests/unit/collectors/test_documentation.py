from pathlib import Path

import pytest

from collectors.documentation import check_documents
from decision.collect import DocumentFile
from evidence.results import Document, DocumentationResult
from processes.errors import UsageError

_GOOD = """# Guide

See [limits](#limits-and-costs), [other](other.md#a-title) and [the site](https://example.org/).

## Limits and costs

Ten a second.
"""


def _measure(base: Path, text: str | None, **wanted: object) -> Document:
    if text is not None:
        (base / "guide.md").write_text(text)
    (base / "other.md").write_text("# A title\n")
    measurement = check_documents([DocumentFile.model_validate({"path": "guide.md", **wanted})], base=base)
    assert isinstance(measurement.result, DocumentationResult)
    document = measurement.result.details[0]
    complete = not (document.problems or document.missing_sections or document.dead_links)
    assert (measurement.outcome == "passed") == complete == (measurement.result.complete == 1)
    return document


def test_a_whole_document_is_complete_and_its_links_to_other_hosts_are_left_out(tmp_path: Path) -> None:
    document = _measure(tmp_path, _GOOD, sections=["limits and costs"], lines_at_least=7)
    assert (document.problems, document.missing_sections, document.dead_links) == ([], [], [])
    assert (document.title, document.lines) == ("Guide", 7)
    measurement = check_documents([DocumentFile(path=Path("guide.md"))], base=tmp_path)
    assert [(left.what, left.count) for left in measurement.left_out] == [("links to other hosts", 1)]


def test_a_missing_document_is_a_problem_and_misses_all_its_sections(tmp_path: Path) -> None:
    document = _measure(tmp_path, None, sections=["Limits"])
    assert document.problems == ["does not exist"]
    assert document.missing_sections == ["Limits"]
    assert document.lines == 0


def test_too_few_lines_are_a_problem(tmp_path: Path) -> None:
    assert _measure(tmp_path, _GOOD, lines_at_least=8).problems == ["7 lines, at least 8 required"]


def test_a_heading_inside_a_code_block_is_no_section(tmp_path: Path) -> None:
    document = _measure(tmp_path, "# Guide\n\n```sh\n# Limits\n```\n", sections=["Limits"])
    assert document.missing_sections == ["Limits"]


def test_a_required_section_with_nothing_in_it_is_a_problem(tmp_path: Path) -> None:
    text = "# Guide\n\n## Limits\n\n## Parts\n\n### One\n\nText.\n"
    document = _measure(tmp_path, text, sections=["Limits", "Parts"])
    assert document.problems == ["section Limits is empty"]


@pytest.mark.parametrize("link", ["gone.md", "#gone", "other.md#gone", "gone%20too.md"])
def test_a_link_to_nothing_is_dead(tmp_path: Path, link: str) -> None:
    assert _measure(tmp_path, f"# Guide\n\n[x]({link})\n").dead_links == [link]


@pytest.mark.parametrize("link", ["other.md", "#what-it-is-1", "#named", "./other.md#a-title"])
def test_a_link_to_a_file_a_repeated_heading_or_an_html_anchor_is_alive(tmp_path: Path, link: str) -> None:
    text = f'# What, it is?\n\n## What it is\n\n<a id="named"></a>\n\n[x]({link})\n'
    assert _measure(tmp_path, text).dead_links == []


def test_links_inside_code_are_not_links(tmp_path: Path) -> None:
    assert _measure(tmp_path, "# G\n\n`[x](gone.md)`\n\n```\n[x](gone.md)\n```\n").dead_links == []


def test_an_empty_document_and_one_that_is_no_text_are_problems(tmp_path: Path) -> None:
    assert "is empty" in _measure(tmp_path, "\n").problems
    (tmp_path / "guide.md").write_bytes(b"\xff\xfe")
    assert _measure(tmp_path, None).problems[0].startswith("cannot be read")


def test_no_documents_are_no_pass(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        check_documents([], base=tmp_path)
