"""The process settings that commands make; they have to come before torch."""

from benchmark.startup import prepare_process

prepare_process()
