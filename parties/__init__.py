"""The party node: identity, policy, sessions over gRPC, jobs, datasets and the command line."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("jointcredit")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
