"""The command line: one file a command group, put together in ``main``."""

import os

# gRPC's core writes lines of its own to standard error, past our messages and our logs, and looks
# here once, when it is imported: so before any module of this package imports it.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
