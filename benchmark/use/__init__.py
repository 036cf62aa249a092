"""Use of what was trained: pictures and videos of adapted generators."""
