"""Run the application on a socket that is already listening."""

import socket

import uvicorn

from pepr_kg.settings import Settings
from pepr_kg.store import Dataset
from pepr_kg.web.app import create_app


def run(settings: Settings, dataset: Dataset, listener: socket.socket) -> None:
    """Serve until the process is told to stop."""
    # asyncio sets this only on sockets that name their protocol; without it a kept connection waits 40 ms an answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        create_app(settings, dataset),
        log_level="warning",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=65_536,  # a query in the address may be long
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listener])
