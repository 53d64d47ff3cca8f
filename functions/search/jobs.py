"""The handler of ``chunk_embedding`` jobs: fragments get vectors. The payload is empty; a schedule enqueues it.

It may run twice, and its worker may be killed at any line: what is stored is not embedded again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.shared.database import rpc
from functions.shared.errors import Unavailable
from functions.shared.jobs import HandlerRegistry, JobContext, JobFailure
from functions.shared.llm.embeddings import Embedder, model_key
from functions.shared.llm.errors import ModelError
from functions.shared.llm.ledger import Ledger

CHUNKS_A_TURN = 64
# the schedule asks again after five minutes, and two jobs at once would pay twice
MAX_WORK_SECONDS = 240.0
NOT_CONFIGURED = "OPENAI_EMBEDDING_MODEL is not set, so nothing was done."
NOT_AVAILABLE = "The database has no extension vector, so nothing was done."


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("chunk_embedding", embed)


def embed(context: JobContext) -> Mapping[str, Any]:
    """Embeds fragments without a vector of the configured model until there are none, or its time is up.

    :raise JobFailure: the model or the database does not answer; what was stored stays
    """
    if not model_key(context.settings):
        return {"embedded": 0, "is_complete": True, "note": NOT_CONFIGURED}
    try:
        return _embed(context)
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error
    except ModelError as error:
        raise JobFailure(error.code, error.message, retryable=error.is_repeatable) from error


def _embed(context: JobContext) -> Mapping[str, Any]:
    service, settings = context.database.service(), context.settings
    embedder = Embedder(
        settings, Ledger.of_job(context, "embedding"), settings.model_deadline_seconds, context.check_cancelled
    )
    until = context.clock.monotonic() + MAX_WORK_SECONDS
    done = 0
    while True:
        context.progress({"embedded": done})
        context.check_cancelled()
        args = {"p_model": embedder.model, "p_limit": CHUNKS_A_TURN}
        chunks = rpc(service, "svc_chunks_to_embed", args, safe=True)
        if chunks is None:
            return {"embedded": 0, "is_complete": True, "note": NOT_AVAILABLE}
        if not chunks:
            return {"embedded": done, "is_complete": True, "note": None}
        if context.clock.monotonic() > until:
            return {"embedded": done, "is_complete": False, "note": None}
        vectors = embedder.embed([f"{chunk['heading'] or ''}\n{chunk['content']}".strip() for chunk in chunks])
        rows = [
            {"chunk_id": chunk["chunk_id"], "content_hash": chunk["content_hash"], "embedding": vector}
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
        args = {"p_model": embedder.model, "p_embeddings": rows}
        done += int(rpc(service, "svc_store_embeddings", args, safe=True))
