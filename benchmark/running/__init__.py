"""One run, one straight line: plan, forecast, setup, weights, selection, make_record, job, worker, supervisor, launch,
suite. Each of these modules imports earlier ones only.
"""
