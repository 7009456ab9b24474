"""The page at `/`: what there is, for people; it needs nothing from elsewhere."""

from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Athanor</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.5 system-ui, sans-serif; }
  body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; width: 100%; }
  td { padding: .3rem .8rem .3rem 0; vertical-align: top; border-top: 1px solid #8884; }
  code { white-space: nowrap; }
  nav a { margin-right: 1.5rem; }
</style>
</head>
<body>
<h1>Athanor <small>$version</small></h1>
<p>Turns what instruments report into decisions, and can tell why each was made.</p>
<nav>
  <a href="docs">API documentation</a>
  <a href="status">Status</a>
  <a href="messages?state=dead">Messages that need you</a>
  <a href="$prefect">Flow runs (Prefect)</a>
</nav>
<h2>Operations</h2>
<table>
$rows
</table>
</body>
</html>
""")


def render(document: Mapping[str, Any], prefect_ui: str) -> str:
    """Return the page, from the OpenAPI document and the address of Prefect's UI."""
    rows = [
        f"<tr><td><code>{method.upper()} {escape(path)}</code></td>"
        f"<td>{escape(operation['description'].splitlines()[0])}</td></tr>"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    return _PAGE.substitute(
        version=escape(document["info"]["version"]),
        prefect=escape(prefect_ui),
        rows="\n".join(rows),
    )
