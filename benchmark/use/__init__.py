"""Use of what was trained: pictures of an adapted generator, a person's picture translated, networks for other tools."""
