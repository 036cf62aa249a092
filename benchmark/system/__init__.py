"""The machine's services: files, locks, processes, hardware, signals, streams of random numbers.

Nothing in here knows what is measured or trained.
"""
