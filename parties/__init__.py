"""The party node: identity, policy, sessions over gRPC, jobs, datasets and the command line."""
