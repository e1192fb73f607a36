"""``python -m neon_embedded`` is ``neon-embedded``. Holds nothing else."""

from neon_embedded.cli import main

if __name__ == "__main__":
    main()
