"""The dashboard and the page of metrics name what is exposed, and all of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from flask import Flask

from tests.ops.monitor.scraping import fill_everything, scrape

ROOT = Path(__file__).resolve().parents[3]


def exposed(app: Flask) -> set[str]:
    """The names of all samples."""
    app.test_client().get("/health")
    fill_everything()
    scrape(app)  # so that this request is in the next answer
    return scrape(app).names()


def test_the_dashboard_shows_what_is_exposed(empty: Flask) -> None:
    dashboard = json.loads((ROOT / "docs/grafana.json").read_text())
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len(panels) > 10
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    used = set()
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            names = set(re.findall(r"\btodo_\w+", target["expr"]))
            assert names, panel["title"]
            used |= names
    names = exposed(empty)
    assert used <= names
    # All but sums, and the time that the client library notes.
    unseen = {name for name in names - used if not name.endswith(("_sum", "_created", "count"))}
    assert unseen == {"todo_run_item_duration_seconds_gsum"}


def test_the_page_of_metrics_is_complete(empty: Flask) -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    written = set(re.findall(r"\btodo_\w+", text))
    names = exposed(empty)
    parts = re.compile(r"_(bucket|sum|count|gsum|gcount|created)$")
    families = {parts.sub("", name) for name in names} - {"todo_http_requests"}
    assert written <= names | families
    assert families <= written
