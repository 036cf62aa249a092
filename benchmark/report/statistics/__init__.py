"""Statistics of comparisons: paired tests, ranks, aggregates over domains, trade-offs, detectable differences."""
