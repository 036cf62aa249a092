"""From records to tables, figures and one page; also two results folders compared. Never imports torch."""

from benchmark.report.render import rich_table
from benchmark.report.write import Report, show, write_report

__all__ = ["Report", "rich_table", "show", "write_report"]
