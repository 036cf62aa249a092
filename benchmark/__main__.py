"""Entry point of `python -m benchmark`."""

from benchmark.system.startup import prepare_process


def run() -> None:
    """Prepare the process before torch is imported, then run the command line."""
    prepare_process()
    from benchmark.cli import main

    main()


if __name__ == "__main__":  # worker processes import this module too
    run()
