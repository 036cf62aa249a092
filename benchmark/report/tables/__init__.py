"""Tables of a report: which number stands in which cell. How a table is written down is the renderers' business."""
