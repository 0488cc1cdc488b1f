"""Render a view to text, HTML and JSON."""

import json

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports.columns import centred, wrap
from reports.plots import plot
from reports.untrusted import neutralised
from reports.view import ReportView


def render_text(view: ReportView) -> str:
    """The report as plain text of at most 80 columns; text from plan and evidence cannot break its lines."""
    environment = _environment(autoescape=False)
    environment.filters |= {"wrap": wrap, "centred": centred}
    return environment.get_template("report.txt.j2").render(view=neutralised(view)).strip("\n") + "\n"


def render_html(view: ReportView) -> str:
    """The report as one self-contained HTML file: no script, nothing loaded, every text escaped."""
    environment = _environment(autoescape=True)
    environment.globals["plot"] = plot
    return environment.get_template("report.html.j2").render(view=neutralised(view)).strip("\n") + "\n"


def render_json(view: ReportView) -> str:
    """The view as JSON: sorted keys, ASCII only (so that it is safe on a terminal), the same for the same view."""
    return json.dumps(view.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False)


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("reports"),
        undefined=StrictUndefined,
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
