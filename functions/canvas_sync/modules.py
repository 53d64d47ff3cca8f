"""Where assignments stand in the modules of their course (``svc_apply_modules``).

Modules are read after the assignments, where the installation allows it (``settings.reads``). A course that shows none
to this person, and one whose list is incomplete, keeps the order that is stored. That never fails a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import structlog

from functions.canvas_sync.listings import Course
from functions.canvas_sync.mapping import text, whole
from functions.shared.canvas.client import Canvas, Row, row_id
from functions.shared.canvas.errors import CanvasError, CourseForbidden, CourseGone, ReauthorizationRequired
from functions.shared.canvas.throttle import MAX_IN_FLIGHT
from functions.shared.canvas.tokens import Rpc
from functions.shared.canvas.transport import InsufficientScopes
from functions.shared.errors import NotFound

log = structlog.get_logger(__name__)

CHECK_SECONDS = 0.5  # how soon a cancelled run is noticed
# the items that can be assignments, as svc_apply_modules names them
KINDS = {"Assignment": "assignment", "Quiz": "quiz", "Discussion": "discussion"}


class ModuleOrder:
    """Reads the modules of courses at the same time and stores each course's when they are complete.

    ``canvas`` is not used again afterwards. ``step`` is called between steps; it raises when the run must end.
    """

    def __init__(self, canvas: Canvas, rpc: Rpc, step: Callable[[], None]) -> None:
        self._canvas = canvas
        self._rpc = rpc
        self._step = step

    def run(self, courses: Sequence[Course]) -> int:
        """How many assignments stand elsewhere than before.

        :raise ReauthorizationRequired: Canvas no longer accepts the grant
        """
        changed = 0
        with ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix="canvas-modules") as pool:
            waiting = {pool.submit(self._read, course.canvas_id): course for course in courses}
            try:
                while waiting:
                    self._step()
                    done, _ = wait(waiting, timeout=CHECK_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        changed += self._store(waiting.pop(future), future)
            except InsufficientScopes:
                log.info("modules_not_granted")
            finally:
                self._canvas.stop()
                pool.shutdown(wait=True, cancel_futures=True)
        return changed

    def _store(self, course: Course, read: Future[list[Row]]) -> int:
        try:
            return int(self._rpc("svc_apply_modules", {"p_course_id": course.id, "p_items": read.result()}))
        except (InsufficientScopes, ReauthorizationRequired):
            raise
        except (CourseForbidden, CourseGone):
            return 0  # the teacher shows no modules
        except (CanvasError, NotFound) as error:
            log.warning("modules_not_read", course_id=course.id, reason=type(error).__name__)
            return 0

    def _read(self, course_id: int) -> list[Row]:
        found: list[Row] = []
        modules = [module for page in self._canvas.modules(course_id) for module in page.rows]
        for number, module in enumerate(modules, 1):
            module_id, items = row_id(module), module.get("items")
            if module_id is None:
                continue
            if not isinstance(items, list):
                # Canvas leaves the items of a long module out, and those of all modules where it ignores include[]
                pages = self._canvas.module_items(course_id, module_id) if module.get("items_count") != 0 else ()
                items = [item for page in pages for item in page.rows]
            found += item_rows(module, module_id, number, items)
        return found


def item_rows(module: Row, module_id: int, number: int, items: Sequence[object]) -> list[Row]:
    """Rows for ``svc_apply_modules``: those items that can be assignments.

    :param number: the module's position in the list, for one that says none
    """
    place = whole(module.get("position"))
    row: Row = {
        "canvas_module_id": str(module_id),
        "module_name": text(module.get("name")) or f"Module {number}",
        "module_position": number if place is None else place,
    }
    found = []
    for index, item in enumerate(items, 1):
        given: Row = item if isinstance(item, dict) else {}
        kind, content_id = KINDS.get(str(given.get("type"))), row_id({"id": given.get("content_id")})
        if kind and content_id:
            at = whole(given.get("position"))
            found.append({**row, "item": f"{kind}:{content_id}", "module_item_position": index if at is None else at})
    return found
