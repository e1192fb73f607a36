"""What is asked of a team's server, as jobs: rows in the store, run by workers, rescued when a worker dies.

The queue is procrastinate's; what a job does, and that doing it twice is harmless, is the acts' own.
"""
