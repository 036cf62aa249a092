"""Feature networks of the metrics (Inception, LPIPS and others), their weight files, and the cache of features."""
