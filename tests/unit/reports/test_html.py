import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from reports.render import render_html
from tests.unit.reports.conftest import Case
from tests.unit.reports.test_text import HOSTILE, with_hostile_texts

VOID = frozenset({"meta", "br", "line", "path", "circle"})


class Page(HTMLParser):
    """What a page consists of; raises when tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture(scope="module", params=["good", "bad", "none"])
def case(request: pytest.FixtureRequest, good: Case, bad: Case) -> Case:
    return {"good": good, "bad": bad, "none": Case(good.plan_file, ())}[request.param]


def test_ids_are_unique_and_every_anchor_resolves(case: Case) -> None:
    page = Page(render_html(case.view()))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [href.removeprefix("#") for href in page.values("href")]
    assert targets
    assert set(targets) <= set(ids)
    labels = {part for value in page.values("aria-labelledby") for part in value.split()}
    assert labels <= set(ids)


def test_nothing_is_loaded_and_no_script_runs(case: Case) -> None:
    html = render_html(case.view())
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form", "img"} & set(page.tags)
    assert not page.values("src")
    assert all(href.startswith("#") for href in page.values("href"))
    assert not re.search(r"url\(|@import|https?:", html)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page.values("content")


def test_every_claim_links_to_the_card_of_its_evidence(good: Case) -> None:
    html = render_html(good.view())
    for claim in good.decide().claims:
        article = html[html.index(f'id="claim-{claim.id}"') :].split("</article>")[0]
        assert f'href="#evidence-{claim.record_id}"' in article
        assert f'<article class="card" id="evidence-{claim.record_id}"' in html


def test_table_headers_have_a_scope_and_drawings_a_name(case: Case) -> None:
    page = Page(render_html(case.view()))
    assert page.tags["th"] == len([1 for tag, name, _ in page.attributes if (tag, name) == ("th", "scope")])
    drawings = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "role")]
    assert drawings == ["img"] * page.tags["svg"]
    assert page.tags["desc"] == page.tags["svg"]
    assert page.tags["main"] == page.tags["nav"] == page.tags["h1"] == 1


def test_marks_always_stand_beside_their_word(case: Case) -> None:
    shown = re.findall(r'<span class="verdict ([A-Z-]+)">(.*?)</span>', render_html(case.view()))
    words = {"PROVEN": "✓ PROVEN", "REFUTED": "✗ REFUTED", "NOT-PROVEN": "… NOT PROVEN"}
    words |= {"DERIVED": "= DERIVED", "DROPPED": "– DROPPED"}
    assert shown
    assert all(text == words[style] for style, text in shown)


def test_the_charts_of_soak_rollout_and_suites_are_drawn(good: Case) -> None:
    html = render_html(good.view())
    for title in (
        "Memory over the soak", "Latency over the soak", "Tests by suite", "Canary minus stable: error-rate",
        "P95, stable and canary",
    ):  # fmt: skip
        assert f"<figcaption>{title}</figcaption>" in html
    assert 'class="limit"' in html


def test_without_records_the_page_says_so_and_draws_nothing(good: Case) -> None:
    page = Page(render_html(Case(good.plan_file, ()).view("full")))
    assert page.tags["svg"] == 0
    assert "HOLD" in "".join(page.text)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_evidence_stays_text(good: Case, hostile: str) -> None:
    plain = Page(render_html(with_hostile_texts(good, "harmless").view()))
    html = render_html(with_hostile_texts(good, hostile).view())
    page = Page(html)
    assert page.tags == plain.tags
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]", html)


CONTRASTS = [
    (foreground, ground)
    for foreground, grounds in {
        "text": ("ground", "card", "soft", "proven-ground", "refuted-ground", "open-ground", "waived-ground"),
        "quiet": ("ground", "card", "refuted-ground", "soft"),
        "accent": ("ground", "card", "refuted-ground"),
        "proven": ("ground", "card", "proven-ground"),
        "refuted": ("ground", "card", "refuted-ground"),
        "open": ("ground", "card", "open-ground"),
        "waived": ("ground", "card", "waived-ground"),
    }.items()
    for ground in grounds
]


@pytest.mark.parametrize(("foreground", "ground"), CONTRASTS)
def test_text_has_a_contrast_of_at_least_4_5_in_every_scheme(good: Case, foreground: str, ground: str) -> None:
    schemes = re.findall(r":root \{(.*?)\}", render_html(good.view()), re.DOTALL)
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+)", scheme))
        lighter, darker = sorted((luminance(colours[foreground]), luminance(colours[ground])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
