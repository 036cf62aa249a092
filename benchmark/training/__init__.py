"""The one training loop of all methods, and what it needs: losses, batches, state, log, several processes."""
