"""The report of a run: one self-contained HTML page."""

from tools.report.inputs import ReportInputs
from tools.report.page import write_page

__all__ = ["ReportInputs", "write_page"]
