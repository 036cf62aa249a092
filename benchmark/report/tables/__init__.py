"""Tables of a report: which number goes into which cell. The renderers write them in each format."""
