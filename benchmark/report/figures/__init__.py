"""Pictures of the report: charts as PNG and SVG, strips and grids of samples."""
