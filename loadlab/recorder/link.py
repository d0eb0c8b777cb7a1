"""The load worker's end of the pipe: hands over finished exchanges in batches, never one by one."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import gevent

from loadlab.core.nouns import Exchange, Reading
from loadlab.recorder.frames import frame

FLUSH_S = 0.1
# Packing keeps the hub busy and doubles what a frame carries: many small ones, with turns between them.
BATCH = 20


class RecorderLink:
    """A sink for exchanges and readings. `lost` turns true when the recorder is gone.

    `sock` must be a gevent socket: sending waits in its own greenlet, not in the hub.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._exchanges: list[Exchange] = []
        self._readings: list[Reading] = []
        self._flusher = gevent.spawn(self._flush_forever)
        self._closing = False
        self.lost = False

    def put(self, exchange: Exchange) -> None:
        """Takes over a finished exchange."""
        self._exchanges.append(exchange)

    def read(self, readings: Sequence[Reading]) -> None:
        """Takes over readings of the generator itself."""
        self._readings.extend(readings)

    def close(self) -> None:
        """Hands over what is left, then ends the stream."""
        self._closing = True
        self._flusher.join()
        self._sock.close()

    def _flush_forever(self) -> None:
        while not (self._closing and not self._exchanges and not self._readings):
            self._flush()
            gevent.sleep(0 if self._closing else FLUSH_S)

    def _flush(self) -> None:
        while self._exchanges or self._readings:
            batch, self._exchanges = self._exchanges[:BATCH], self._exchanges[BATCH:]
            readings, self._readings = self._readings, []
            self._send(frame(batch, readings))
            gevent.sleep(0)

    def _send(self, data: bytes) -> None:
        if self.lost:
            return
        try:
            self._sock.sendall(data)
        except OSError:
            self.lost = True
