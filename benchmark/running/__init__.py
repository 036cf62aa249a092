"""One run, a straight line of modules, each of which imports earlier ones only.

They are plan, forecast, setup, weights, selection, make_record, job, worker, server, supervisor, launch, suite.
"""
