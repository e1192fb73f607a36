"""`python -m orchestrator` is `preview`."""

from orchestrator.cli.app import main

if __name__ == "__main__":
    main()
