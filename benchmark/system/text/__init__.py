"""Text: lists that people type, YAML without surprises, and safe output to a terminal."""
