"""Sound as answers and as requests: WAV files read, PCM measured in seconds.

Out of scope: compressed formats; a server is asked for 16-bit PCM, of which every byte is sound.
"""

from __future__ import annotations

import io
import wave

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Request
from loadlab.dialects import Delta
from loadlab.dialects.usage import UNKNOWN, Usage

RATE = 24_000
"""Samples per second that speech is asked for."""

_SAMPLE_BYTES = 2
_RIFF_HEAD = 44


def clip_of(request: Request) -> bytes:
    """The WAV file to be written down. Raises UsageError for a request without one."""
    if request.audio is None:
        raise UsageError(
            "this dialect writes down speech, and the scenario asks with text; try `transcribe`."
        )
    return request.audio


def pcm_of(clip: bytes) -> tuple[bytes, int]:
    """(samples, samples per second) of a WAV file of one 16-bit channel. Raises UsageError for another."""
    try:
        with wave.open(io.BytesIO(clip)) as sound:
            shape = sound.getnchannels(), sound.getsampwidth()
            frames, rate = sound.readframes(sound.getnframes()), sound.getframerate()
    except (wave.Error, EOFError) as error:
        raise UsageError(f"the audio is not a WAV file: {error}.") from error
    if shape != (1, _SAMPLE_BYTES):
        raise UsageError(f"the audio has {shape[0]} channels of {8 * shape[1]} bits; give one of 16 bits.")
    return frames, rate


def seconds_of(clip: bytes) -> float | None:
    """How long a WAV file sounds, in seconds; None for another."""
    try:
        with wave.open(io.BytesIO(clip)) as sound:
            return float(sound.getnframes() / sound.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError):
        return None


class Sound:
    """A Decoder of a body that is sound itself: 16-bit PCM of one channel, raw or behind a WAV header.

    Every read that brings sound is output. Its tokens are not counted; its length is `audio_s`.
    """

    __slots__ = ("_bytes_per_s", "_head", "_sounding", "_taken", "events")

    error = finish_reason = server_timings = None
    usage: Usage = UNKNOWN

    def __init__(self, rate: int = RATE) -> None:
        self._bytes_per_s = rate * _SAMPLE_BYTES
        self._head = b""
        self._sounding = False
        self._taken = 0
        self.events = 0

    @property
    def complete(self) -> bool:
        """Whether there was sound; where it ends, HTTP says."""
        return self._taken > 0

    @property
    def audio_s(self) -> float | None:
        """The length of the sound, in seconds."""
        return self._taken / self._bytes_per_s if self._taken else None

    def feed(self, data: bytes) -> list[Delta]:
        """See Decoder."""
        if not self._sounding:
            data = self._behind_head(data)
        if not data:
            return []
        self.events += 1
        self._taken += len(data)
        return [Delta("answer", "")]

    def close(self) -> list[Delta]:
        """See Decoder. A body shorter than a header is all sound."""
        if self._sounding or not self._head:
            return []
        self._taken, self.events = len(self._head), 1
        return [Delta("answer", "")]

    def _behind_head(self, data: bytes) -> bytes:
        """What of `data` is sound: a WAV header is none, and says how fast the sound is."""
        self._head += data
        if not b"RIFF".startswith(self._head[:4]) and not self._head.startswith(b"RIFF"):
            self._sounding = True
            return self._head
        if len(self._head) < _RIFF_HEAD:
            return b""
        self._sounding = True
        self._bytes_per_s = int.from_bytes(self._head[28:32], "little") or self._bytes_per_s
        return self._head[_RIFF_HEAD:]
