"""The process settings that commands make; they have to come before torch."""

from benchmark.system.startup import prepare_process

prepare_process()
