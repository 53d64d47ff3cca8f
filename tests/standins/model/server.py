"""The stand-in's server: real sockets, so that real clients meet real faults."""

from __future__ import annotations

import base64
import dataclasses
import json
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO, cast

from tests.standins.model import hearing, writing
from tests.standins.model.behaviours import BEHAVIOURS, SEQUENCES, Behaviour, problem

PREFIX = "standin-"
CHUNK_CHARACTERS = 24
DEFAULT_DIMENSIONS = 1536
MAX_SHORT_CHARACTERS = 500
MAX_HANG_SECONDS = 120.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are expected here; everything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class ModelStandIn:
    """An OpenAI-compatible model on a port of its own; use as a context manager."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.requests: list[dict[str, Any]] = []
        self.hung_up = 0  # answers whose client went away before their end
        self._script: list[Behaviour] = []
        self._default: Behaviour | None = None
        self._served: dict[str, int] = {}
        self._lock = threading.Lock()
        self.over = threading.Event()
        stand_in = self

        class Bound(Handler):
            model = stand_in

        self._server = _Server((host, port), Bound)
        self.url = f"http://{host}:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> ModelStandIn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def say(self, *names: str, default: str | None = None, **changes: Any) -> None:
        """The next calls behave as named, one each; with ``default`` all others too. ``changes`` apply to every one."""
        with self._lock:
            self._script = [dataclasses.replace(BEHAVIOURS[name], **changes) for name in names]
            self._default = None if default is None else dataclasses.replace(BEHAVIOURS[default], **changes)

    def reset(self) -> None:
        """Forgets script, counts and requests."""
        with self._lock:
            self._script, self._default = [], None
            self._served.clear()
            self.requests.clear()

    def next(self, model: str) -> Behaviour:
        """How to answer this call."""
        with self._lock:
            if self._script:
                return self._script.pop(0)
            if self._default is not None:
                return self._default
            name = model.removeprefix(PREFIX)
            number = self._served.get(model, 0)
            self._served[model] = number + 1
        if name in SEQUENCES:
            steps = SEQUENCES[name]
            return BEHAVIOURS[steps[number]] if number < len(steps) else BEHAVIOURS["normal"]
        return BEHAVIOURS.get(name, BEHAVIOURS["normal"])


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    model: ModelStandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: requests are kept for whoever asks."""

    def do_GET(self) -> None:
        """Models, and what was asked so far."""
        if self.path == "/v1/models":
            names = sorted({*BEHAVIOURS, *SEQUENCES})
            self.answer(200, {"object": "list", "data": [{"id": PREFIX + name, "object": "model"} for name in names]})
        elif self.path == "/control/requests":
            self.answer(200, {"requests": self.model.requests})
        else:
            self.answer(404, problem("no such path", "not_found"))

    def do_DELETE(self) -> None:
        """``DELETE /control`` forgets script and requests."""
        self.model.reset()
        self.answer(200, {})

    def do_POST(self) -> None:
        """Completions, embeddings, transcriptions, control."""
        if self.path == "/v1/audio/transcriptions":
            self.transcribe()
            return
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        except ValueError:
            self.answer(400, problem("not JSON", "invalid_json"))
            return
        match self.path:
            case "/control":
                self.model.say(*body.get("script", []), default=body.get("default"), **body.get("changes", {}))
                self.answer(200, {})
            case "/v1/chat/completions":
                self.complete(body)
            case "/v1/audio/speech":
                self.record(body)
                behaviour = self.model.next(str(body.get("model") or ""))
                if behaviour.body is not None:
                    self.answer(behaviour.status, behaviour.body, behaviour.headers)
                else:
                    self.answer(200, speech(str(body.get("input") or "")), kind="audio/mpeg")
            case "/v1/embeddings":
                self.embed(body)
            case _:
                self.answer(404, problem("no such path", "not_found"))

    def record(self, body: dict[str, Any]) -> None:
        """Keeps a request for tests; never the key."""
        signed = self.headers.get("Authorization", "").startswith("Bearer ")
        self.model.requests.append({"path": self.path, "body": body, "signed": signed, "at": time.time()})

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None, *, kind: str | None = None) -> None:
        """A whole answer: bytes as they are, HTML for a string, else JSON."""
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind or ("text/html" if isinstance(body, str) else "application/json"))
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def embed(self, body: dict[str, Any]) -> None:
        """Vectors, as floats or base64."""
        self.record(body)
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else list(texts or [])
        if not texts or any(not isinstance(text, str) or not text for text in texts):
            self.answer(400, problem("input must not be empty", "invalid_input", param="input"))
            return
        # by the name alone, so that what is scripted for other calls is not used up
        behaviour = BEHAVIOURS.get(str(body.get("model") or "").removeprefix(PREFIX), BEHAVIOURS["normal"])
        if behaviour.hang_first:
            self.hang()
            return
        if behaviour.body is not None:
            self.answer(behaviour.status, behaviour.body, behaviour.headers)
            return
        if behaviour.vectors == "short" and max(map(len, texts)) > MAX_SHORT_CHARACTERS:
            self.answer(400, problem("This model's maximum context length is 512 tokens", "context_length_exceeded"))
            return
        if behaviour.vectors == "filtered" and any("forbidden" in text for text in texts):
            self.answer(400, problem("The text was filtered", "content_filter"))
            return
        dimensions = 32 if behaviour.vectors == "fixed" else int(body.get("dimensions") or DEFAULT_DIMENSIONS)
        vectors = [writing.embedding(text, dimensions) for text in texts]
        as_text = body.get("encoding_format") == "base64"
        data: list[dict[str, Any]] = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(struct.pack(f"<{len(v)}f", *v)).decode() if as_text else v,
            }
            for index, v in enumerate(vectors)
        ]
        match behaviour.vectors:
            case "shuffled":
                data.reverse()
            case "few":
                data.pop()
            case "zero":
                data[-1]["embedding"] = [0.0] * len(vectors[-1])
            case "uneven":
                data[-1]["embedding"] = vectors[-1][:-1]
            case "unnumbered":
                data = [{"object": "embedding", "embedding": part["embedding"]} for part in data]
        used = sum(tokens(text) for text in texts)
        usage = {"prompt_tokens": used, "total_tokens": used}
        self.answer(200, {"object": "list", "data": data, "model": named(body), "usage": usage})

    def complete(self, body: dict[str, Any]) -> None:
        """A chat completion, or what was scripted in its place."""
        self.record(body)
        behaviour = self.model.next(str(body.get("model") or ""))
        form = (body.get("response_format") or {}).get("type")
        refused = [name for name in behaviour.refused_options if name in body]
        if refused:
            self.answer(400, problem(f"Unrecognized request argument supplied: {refused[0]}", None))
        elif form in behaviour.unsupported:
            self.answer(400, problem(f"response_format {form} is not supported", None, param="response_format"))
        elif behaviour.hang_first:
            self.hang()
        elif behaviour.body is not None:
            self.answer(behaviour.status, behaviour.body, behaviour.headers)
        else:
            text = self.text(body, behaviour)
            if behaviour.place == "nowhere" and form == "json_schema":
                text = ""
            try:
                if body.get("stream") and behaviour.place != "json":
                    self.stream(body, behaviour, text)
                else:
                    self.whole(body, behaviour, text)
            except (BrokenPipeError, ConnectionResetError):
                # the client hung up, as one does who was told to stop
                self.close_connection = True
                self.model.hung_up += 1

    def transcribe(self) -> None:
        """What is said in a sound file of the Panopto stand-in, or what was scripted in its place."""
        form = hearing.read_form(self.headers, cast(BinaryIO, self.rfile))
        sound = form.pop("file", b"")
        body = {**form, "bytes": len(sound)}
        self.record(body)
        behaviour = self.model.next(str(form.get("model") or ""))
        wanted = str(form.get("response_format") or "json")
        if wanted in behaviour.unsupported:
            self.answer(400, problem(f"response_format {wanted} is not supported", None, param="response_format"))
        elif behaviour.hang_first or behaviour.comments:
            self.hang()
        elif behaviour.body is not None:
            self.answer(behaviour.status, behaviour.body, behaviour.headers)
        elif not sound:
            self.answer(400, problem("file must not be empty", "invalid_input", param="file"))
        else:
            time.sleep(behaviour.pause_seconds)
            seconds, heard = hearing.hear(sound)
            body |= {"seconds": seconds, "numbers": [burst.number for burst in heard]}
            if behaviour.end == "reset":
                self.reset()
                return
            self.answer(200, hearing.answer(wanted, seconds, heard, named(form)), kind=hearing.KINDS.get(wanted))

    def text(self, body: dict[str, Any], behaviour: Behaviour) -> str:
        """The text of the answer."""
        text = writing.answer(body) if behaviour.text is None else behaviour.text
        if behaviour.content_md is not None:
            if text.startswith("{"):
                fields = json.loads(text)
                if "content_md" in fields:
                    fields["content_md"] = behaviour.content_md
                text = json.dumps(fields, ensure_ascii=False)
            else:
                text = behaviour.content_md
        if behaviour.before:
            text = f"{behaviour.before}{text}" + ("\n```" if behaviour.before.endswith("```json\n") else "")
        return text if behaviour.cut is None else text[: max(1, int(len(text) * behaviour.cut))]

    def whole(self, body: dict[str, Any], behaviour: Behaviour, text: str) -> None:
        """The answer in one piece."""
        if behaviour.end == "hang" or behaviour.comments:
            self.hang()
            return
        message = {"role": "assistant", **placed(behaviour, text), "refusal": behaviour.refusal}
        choice = {"index": 0, "message": message, "finish_reason": behaviour.finish_reason}
        answer = {**head(body, "chat.completion"), "choices": [choice]}
        if behaviour.usage:
            answer["usage"] = usage(body, text)
        if behaviour.end in ("eof", "reset"):
            # promises more than it sends
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data) + 1))
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = True
            return
        self.answer(200, answer)

    def stream(self, body: dict[str, Any], behaviour: Behaviour, text: str) -> None:
        """The answer in chunks, with the scripted end."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while behaviour.comments and not self.model.over.is_set():
            self.raw(": waiting\n\n")
            time.sleep(0.05)
        for event in behaviour.events:
            self.raw(event)
        self.delta(body, {"role": "assistant", "content": ""})
        if behaviour.refusal is not None:
            self.delta(body, {"refusal": behaviour.refusal})
        for start in range(0, len(text), CHUNK_CHARACTERS):
            used = usage(body, text[: start + CHUNK_CHARACTERS]) if behaviour.usage_in_every_chunk else None
            self.delta(body, placed(behaviour, text[start : start + CHUNK_CHARACTERS]), used=used)
            if behaviour.pause_seconds:
                time.sleep(behaviour.pause_seconds)
        match behaviour.end:
            case "hang":
                self.hang()
                return
            case "reset":
                self.reset()
                return
            case "error":
                self.event(problem("The server had an error while processing your request", None, "server_error"))
                self.raw_end()
                return
            case "eof":
                self.raw_end()
                return
        self.delta(body, {}, behaviour.finish_reason)
        if behaviour.usage and (body.get("stream_options") or {}).get("include_usage"):
            self.event({**head(body, "chat.completion.chunk"), "choices": [], "usage": usage(body, text)})
        if behaviour.done:
            self.raw("data: [DONE]\n\n")
        self.raw_end()

    def delta(
        self, body: dict[str, Any], delta: dict[str, Any], finish_reason: str | None = None, used: Any = None
    ) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        more = {} if used is None else {"usage": used}
        self.event({**head(body, "chat.completion.chunk"), "choices": [choice], **more})

    def event(self, data: Any) -> None:
        self.raw(f"data: {json.dumps(data, ensure_ascii=False)}\n\n")

    def raw(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def raw_end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def hang(self) -> None:
        """Says nothing until the client gives up."""
        self.close_connection = True
        self.connection.settimeout(0.2)
        until = time.monotonic() + MAX_HANG_SECONDS
        while time.monotonic() < until and not self.model.over.is_set():
            try:
                if not self.connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            return
        self.model.hung_up += 1

    def reset(self) -> None:
        """Cuts the connection hard."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()


def speech(text: str) -> bytes:
    """The tag of an MP3, which names the text, and a frame."""
    words = text.encode()
    return b"ID3\x04\x00\x00" + len(words).to_bytes(4, "big") + words + b"\xff\xfb\x90\x00"


def placed(behaviour: Behaviour, text: str) -> dict[str, Any]:
    """A piece of text where this server puts it."""
    if behaviour.place == "parts":
        return {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}]}
    return {"content": None, "reasoning_content": text} if behaviour.place == "reasoning" else {"content": text}


def named(body: dict[str, Any]) -> str:
    """The model's name as the answer shows it: always as the stand-in."""
    name = str(body.get("model") or "scripted")
    return name if name.startswith(PREFIX) else PREFIX + name


def head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    """What every answer begins with."""
    return {"id": "chatcmpl-standin", "object": kind, "created": 1, "model": named(body)}


def tokens(text: str) -> int:
    """A token count that looks real."""
    return max(1, (len(text.encode()) + 3) // 4)


def usage(body: dict[str, Any], text: str) -> dict[str, Any]:
    """What the call used, deterministic."""
    prompt = sum(tokens(writing.plain(message)) for message in body.get("messages") or [])
    completion = tokens(text) if text else 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": prompt // 4},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
