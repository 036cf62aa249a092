"""Reports: tables, figures and one page from records; comparison of two results folders. Never imports torch."""

from benchmark.report.terminal import rich_table, summary
from benchmark.report.write import Report, show, write_report

__all__ = ["Report", "rich_table", "show", "summary", "write_report"]
