"""Everything that can be asked for, as a table: its name, who may, its arguments, what is done.

The API, the workers and the command line read the same table. Opens nothing itself.
"""

from orchestrator.acts.access import Asked, check
from orchestrator.acts.table import ACTS, Act

__all__ = ["ACTS", "Act", "Asked", "check"]
