"""The composition root: the one place that knows every part.

`open_hub` opens a hub's directory for a command or a server; `make_app` makes the ASGI application of an open
hub.
"""

from lightship.wiring.app import make_app
from lightship.wiring.hub import Hub, open_hub, sealer_of

__all__ = ["Hub", "make_app", "open_hub", "sealer_of"]
