"""One HTML file: tables, figures, and plotly's JavaScript inside, readable without a network."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from nas.report.panel import Panel, Section, Table
from search_spaces.errors import NasError

# Nothing may be loaded, and only the scripts with the nonce may run: a name in a record that
# slipped through unescaped would still not be executed.
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}' 'unsafe-eval'; style-src 'unsafe-inline';"
    " img-src data: blob:; font-src data:; worker-src blob:"
)
STYLE = """
body { font-family: system-ui, 'Liberation Sans', Arial, sans-serif; color: #222;
  margin: 1.5rem auto; max-width: 80rem; padding: 0 1rem; line-height: 1.4; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 2px solid #ddd; }
h3 { font-size: 1rem; margin: 1rem 0 0.2rem; }
nav a { margin-right: 1rem; white-space: nowrap; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; }
th, td { padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #ddd;
  vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
table.facts td, table.facts th { text-align: left; }
table.facts td + td { white-space: normal; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(34rem, 100%), 1fr));
  gap: 1rem; align-items: start; }
figure { margin: 0; min-width: 0; } figure.wide { grid-column: 1 / -1; }
p { margin: 0.3rem 0; max-width: 60rem; } .about, .missing { color: #555; font-size: 0.9rem; }
.warning { color: #a00000; font-weight: 600; }
pre { background: #f5f5f5; padding: 1rem; overflow-x: auto; font-size: 0.8rem; }
@media print { figure, table { break-inside: avoid; } nav { display: none; } }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
<script nonce="{nonce}">{plotly}</script>
</head>
<body>
<h1>{title}</h1>
{body}
<script nonce="{nonce}">
const figures = {figures};
const config = {{
  responsive: true, displaylogo: false, displayModeBar: "hover", plotlyServerURL: "",
}};
for (const [key, figure] of Object.entries(figures)) {{
  const place = document.getElementById("plot-" + key);
  const image = {{toImageButtonOptions: {{format: "svg", filename: key}}}};
  Plotly.newPlot(place, figure.data, figure.layout, {{...config, ...image}}).catch((error) => {{
    place.textContent = "This figure could not be drawn: " + error;
    console.error(key, error);
  }});
}}
</script>
</body>
</html>
"""


def render(title: str, sections: Sequence[Section], paragraphs: Sequence[str] = ()) -> str:
    """Return the page of a report.

    Args:
        title: Heading, plain text.
        sections: In order; a page of one section has no table of contents.
        paragraphs: Plain text under the heading.
    """
    body = [f"<p>{escape(text)}</p>" for text in paragraphs]
    if len(sections) > 1:
        links = [f'<a href="#{escape(s.key)}">{escape(s.title)}</a>' for s in sections]
        body.append(f"<nav>{' '.join(links)}</nav>")
    body += [_section(s) for s in sections]
    figures = {p.key: p.figure for s in sections for p in s.panels if p.figure is not None}
    return _page(title, "\n".join(body), figures)


def write_page(path: Path, html: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        NasError: It cannot be written there.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_text(html, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # what keeps it from being written may keep it there
            temporary.unlink(missing_ok=True)
        raise NasError(f"cannot write the page: {error.strerror}", where=str(path)) from None


def _page(title: str, body: str, figures: Mapping[str, Any]) -> str:
    from plotly.offline import get_plotlyjs

    drawn = ",\n".join(f"{json.dumps(key)}: {_json(f)}" for key, f in figures.items())
    nonce = hashlib.sha256(f"{title}{body}{drawn}".encode()).hexdigest()[:32]
    return PAGE.format(
        title=escape(title),
        policy=POLICY.format(nonce=nonce),
        style=STYLE,
        nonce=nonce,
        plotly=get_plotlyjs() if figures else "",
        body=body,
        figures=f"{{{drawn}}}",
    )


def _json(figure: Any) -> str:
    # plotly writes <, > and / as escapes, so that no text can end the script
    return str(figure.to_json())


def _section(section: Section) -> str:
    out = [f'<section id="{escape(section.key)}">', f"<h2>{escape(section.title)}</h2>"]
    if section.about:
        kind = "warning" if section.key == "summary" else "about"
        out.append(f'<p class="{kind}">{escape(section.about)}</p>')
    plots: list[str] = []
    for part in section.parts:
        if isinstance(part, Panel):
            plots.append(_panel(part, section.title))
        else:
            out += _plots(plots)
            plots = []
            out.append(table(part))
    return "\n".join([*out, *_plots(plots), "</section>"])


def _plots(made: Sequence[str]) -> list[str]:
    return [f'<div class="plots">{"".join(made)}</div>'] if made else []


def _panel(panel: Panel, above: str) -> str:
    kind = ' class="wide"' if panel.wide else ""
    head = f'<figure id="figure-{escape(panel.key)}"{kind}>\n'
    head += f"<h3>{escape(panel.title)}</h3>\n" if panel.title != above else ""
    if panel.figure is None:
        return f'{head}<p class="missing">{escape(panel.missing)}</p></figure>'
    about = f'<p class="about">{escape(panel.about)}</p>' if panel.about else ""
    height = panel.figure.layout.height
    place = f'<div id="plot-{escape(panel.key)}" style="height:{height:g}px"></div>'
    return f'{head}{about}<div class="scroll">{place}</div></figure>\n'


def table(t: Table) -> str:
    """Return a table as HTML."""
    out = [f"<h3>{escape(t.title)}</h3>"] if t.title and not t.preformatted else []
    if t.rows:
        kind = ' class="facts"' if t.columns and not t.columns[0] else ""
        head = "".join(f"<th>{escape(c)}</th>" for c in t.columns)
        lines = ["".join(f"<td>{escape(str(v))}</td>" for v in row) for row in t.rows]
        body = "\n".join(f"<tr>{line}</tr>" for line in lines)
        out.append(f'<div class="scroll"><table{kind}>\n<tr>{head}</tr>\n{body}\n</table></div>')
    if t.preformatted:
        summary = f"<summary>{escape(t.title)}</summary>"
        out.append(f"<details>{summary}<pre>{escape(t.preformatted)}</pre></details>")
    return "\n".join(out)
