"""Speech to be written down: WAV files of a folder, or made noises of a wanted length where there is none."""

from __future__ import annotations

import io
import random
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Request

_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Clips:
    """Requests with a clip each.

    With `folder`, its *.wav files, shuffled by seed, each used once before any is used again; else noise of
    `seconds`, different for every request: enough for times, and nothing to understand.
    """

    folder: str | None = None
    seconds: float = 5.0

    def requests(self, seed: int) -> Iterator[Request]:
        """An endless stream. Raises UsageError for a folder without clips."""
        chance = random.Random(seed)
        if self.folder is None:
            while True:
                yield Request(prompt="", audio=_noise(chance, self.seconds))
        clips = [_read(path) for path in sorted(Path(self.folder).glob("*.wav"))]
        if not clips:
            raise UsageError(f"there is no .wav file in '{self.folder}'; put some there.")
        while True:
            chance.shuffle(clips)
            for clip in clips:
                yield Request(prompt="", audio=clip)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"clip '{path}' cannot be read: {error}.") from error


def _noise(chance: random.Random, seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        sound.writeframes(chance.randbytes(2 * round(_RATE * seconds)))
    return file.getvalue()
