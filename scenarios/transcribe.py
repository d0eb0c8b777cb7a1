"""How long until speech is text?

Every request carries five seconds of sound. TTFT is the time to the first text, and the work is counted in
seconds of audio. Noise is enough to time a server; put recordings into a folder and name it in `Clips` to
hear sentences.

    loadlab run transcribe --url http://127.0.0.1:8000/v1 --dialect openai-transcription --users 4
"""

from __future__ import annotations

from locust import constant, task

from loadlab.drive import StreamUser
from loadlab.workloads import Clips


class Transcribe(StreamUser):
    """One program that has speech written down, clip after clip."""

    workload = Clips(seconds=5.0)
    wait_time = constant(0)

    @task
    def listen(self) -> None:
        """Send a clip, and read its text to the end."""
        self.send(self.next_request())
