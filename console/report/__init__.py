"""The report of a drill or an incident: one self-contained HTML page."""

from console.report.render import render_report, write_drill_report, write_report

__all__ = ["render_report", "write_drill_report", "write_report"]
