"""A text spoken aloud, over an OpenAI-compatible API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from functions.shared.llm import errors
from functions.shared.llm.client import connections, library
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.usage import Used, estimated_tokens
from functions.shared.llm.whole_calls import answered
from functions.shared.settings import Settings

MIME_TYPE = "audio/mpeg"
MAX_CHARACTERS = 4000
MAX_BYTES = 10 * 1024 * 1024
# every server that speaks knows it
VOICE = "alloy"


@dataclass
class Speaker:
    """Calls the model of OPENAI_SPEECH_MODEL.

    :param ledger: where the calls are recorded; servers report no usage, so the text's tokens are estimated
    :param check: called several times a second while an answer is awaited; an exception ends the call
    """

    settings: Settings
    ledger: Ledger
    check: Callable[[], None]

    def say(self, text: str) -> bytes:
        """The text as MP3.

        :raise ModelError: see errors.py; also when no model is configured, or the answer is no MP3
        """
        model = self.settings.openai_speech_model
        if model is None:
            raise errors.ModelNotFound("No speech model is configured. An operator must set OPENAI_SPEECH_MODEL.")
        told = text[:MAX_CHARACTERS]
        seconds = self.settings.model_deadline_seconds
        with self.ledger.call(model, Used(prompt_tokens=estimated_tokens(told))) as entry:
            try:
                spoken = answered(
                    lambda: self._send(model, told), clock=self.ledger.clock, seconds=seconds, check=self.check
                )
            except errors.ModelError as error:
                if not isinstance(error, errors.DeadlineExceeded | errors.Interrupted):
                    entry.refuse()
                raise
        if not isinstance(spoken, bytes) or len(spoken) > MAX_BYTES or not is_mp3(spoken):
            # a page or an error instead of sound
            raise errors.InvalidResponse
        return spoken

    def _send(self, model: str, text: str) -> bytes:
        left = self.settings.model_deadline_seconds
        timeout = library().Timeout(left, connect=min(self.settings.model_connect_timeout_seconds, left))
        client = connections(self.settings.openai_base_url, self.settings.openai_api_key)
        create = client.audio.speech.with_streaming_response.create
        with create(model=model, voice=VOICE, input=text, response_format="mp3", timeout=timeout) as response:
            found = b""
            for piece in response.iter_bytes():
                found += piece
                if len(found) > MAX_BYTES:
                    break
            return found


def is_mp3(data: bytes) -> bool:
    """Whether a file begins with the tag or a frame of an MP3."""
    # the frame: twelve bits of one, then layer III
    return data.startswith(b"ID3") or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2)
