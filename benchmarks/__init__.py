"""What `make bench` measures; its last results are in results.txt."""

import os

# As make does: without bytecode files each job would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
