"""Texts: lists that people type, YAML without surprises, what a terminal may be shown."""
