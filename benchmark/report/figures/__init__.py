"""Pictures of a report: charts drawn once as SVG and used as such and as PNG, strips and grids of samples."""
