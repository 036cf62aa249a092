"""Engines: where the jobs of a run are done, on this machine (`local`), by Slurm or by Ray.

`engine.py` says what an engine is. `request.py` is what is asked of one, in a file; `work.py` does one task of it.
"""
