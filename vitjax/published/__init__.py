"""What the seeds' tables publish, as data: rows, their corrections, and what vitjax builds."""

from vitjax.published.ledger import Correction, Row, find, measured, rows

__all__ = ["Correction", "Row", "find", "measured", "rows"]
