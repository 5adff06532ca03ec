"""The demonstration: real nodes of seven parties on this machine, real data, every answer checked.

It plays all parties, so it may do what no party can: read every file and compare. ``scene`` says
who they are, ``nodes`` makes and runs their nodes, ``questions`` asks, ``decisions`` decides,
``statement`` reads from the nodes' own records who learned what, ``plaintext`` checks all of it,
``run`` puts them together.
"""
