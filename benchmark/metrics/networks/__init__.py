"""The networks that measure: Inception, LPIPS and others, where their files are, and features that are kept."""
