"""HTTP: one attempt sent over a pool of connections, every mishap a Failure.

`transport` is what a run holds; `call` is one post, `attempt` its answer on its way and `watch` its time; `pool` keeps `connections`, each
of which writes requests and parses what is `arriving`, some `at_rest`; `turns` are what calls wait for, and `unpacking` undoes what
is packed; `targets` says where a URL leads and what stands before a body that goes there; `mishaps` names what went wrong, and `secrets`
keeps keys out of what comes back.
"""

from batchrun.edge.transport.targets import Page
from batchrun.edge.transport.transport import Transport

__all__ = ["Page", "Transport"]
