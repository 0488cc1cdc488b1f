"""The HTML report in a real browser: it lays out, scrolls nowhere sideways, and prints."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reports.render import render_html
from tests.unit.reports.conftest import PLAN_YAML, read_case

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

PROBE = """
<script>
window.addEventListener("load", () => {
  const seen = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, root = page.documentElement;
    const texts = [...page.querySelectorAll("svg text, p, h1, h2, h3, h4, dd, dt, li")];
    const limit = root.clientWidth + 1;
    const scrolls = (node) => node.closest(".scroll") !== null;
    return {
      width: root.clientWidth,
      sideways: root.scrollWidth - root.clientWidth,
      outside: texts.filter((t) => !scrolls(t) && t.getBoundingClientRect().right > limit).map((t) => t.textContent),
      headline: page.querySelector(".banner strong").getBoundingClientRect().height,
      drawings: [...page.querySelectorAll("svg")].filter((s) => s.getBoundingClientRect().height > 60).length,
      broken: [...page.querySelectorAll("a")].filter((a) => !page.querySelector(a.getAttribute("href"))).length,
      cards: page.querySelectorAll("article.card").length,
    };
  });
  document.body.dataset.seen = JSON.stringify(seen);
});
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "report.html"
    path.write_text(render_html(read_case(folder, PLAN_YAML).view("canary")), encoding="utf-8")
    return path


def chromium(profile: Path, *arguments: str) -> str:
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={profile}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )  # fmt: skip
    return done.stdout


def test_the_report_fits_a_desk_and_a_phone(page: Path, tmp_path: Path) -> None:
    frames = "".join(f'<iframe src="{page.name}" style="width:{w}px;height:900px"></iframe>' for w in (1200, 400, 320))
    probe = page.with_name("probe.html")
    probe.write_text(f"<!doctype html><body>{frames}{PROBE}</body>", encoding="utf-8")
    dom = chromium(
        tmp_path / "profile", "--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom",
        probe.as_uri()
    )  # fmt: skip
    match = re.search(r'data-seen="([^"]*)"', dom)
    assert match is not None
    seen = json.loads(match[1].replace("&quot;", '"').replace("&amp;", "&"))
    assert [frame["width"] for frame in seen] == [1200, 400, 320]
    for frame in seen:
        assert frame["sideways"] == 0
        assert frame["outside"] == []
        assert frame["headline"] > 20
        assert frame["drawings"] == 6
        assert frame["broken"] == 0
        assert frame["cards"] == 11


def test_the_report_prints_with_its_folded_parts_open(page: Path, tmp_path: Path) -> None:
    pdf = tmp_path / "report.pdf"
    chromium(tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={pdf}", page.as_uri())
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF-")
    pages = int(max(re.findall(rb"/Type /Pages.*?/Count (\d+)", content, re.DOTALL), key=int))
    assert 5 <= pages <= 25

    folded = page.with_name("folded.html")
    folded.write_text(re.sub(r"details::details-content \{.*?\}", "", page.read_text()), encoding="utf-8")
    other = tmp_path / "folded.pdf"
    chromium(tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={other}", folded.as_uri())
    assert len(content) > len(other.read_bytes())
