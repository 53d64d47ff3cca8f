"""Faults on demand: what real Canvas installations, proxies and attackers answer."""

from __future__ import annotations

import random
import re
import secrets
import time
from collections.abc import Callable

from flask import Flask, Response, g, jsonify, request

from tests.standins.canvas.world import Fault, World

KINDS = frozenset(
    {
        "status",  # answer `status` with a json, html or empty `body`
        "html",  # 200 with a maintenance page
        "truncated",  # half of the JSON
        "not_list",  # an object where a list belongs
        "empty_list",  # a list without rows and without links
        "slow",  # `seconds` later
        "drop",  # the connection closes in the middle of the body
        "throttle",  # refused as the throttle refuses
        "link_loop",  # next leads back to this page
        "link_foreign",  # next leads to another host
        "link_http",  # next leads to the same host by another scheme
        "link_lost",  # no Link at all
        "link_endless",  # next is a new bookmark for ever, the rows are the same
        "token_dead",  # the access token dies now: 401 with a challenge until it is refreshed
        "grant_dead",  # access and refresh token die now
        "unauthorized",  # 401 without WWW-Authenticate
        "challenge",  # 401 with WWW-Authenticate, whatever the token
        "null_token",  # a token answer with access_token null
        "redirect",  # 302 to a login page
    }
)
MAINTENANCE = "<!doctype html><html><head><title>Maintenance</title></head><body>Back soon.</body></html>"


def install(app: Flask, world: World) -> None:
    """Hooks journal, latency, User-Agent rule, faults and throttle around every route but the control ones."""
    app.before_request(_before(world))
    app.after_request(_after(world))
    app.teardown_request(_teardown(world))


def _before(world: World) -> Callable[[], Response | tuple[str, int] | None]:
    def before() -> Response | tuple[str, int] | None:
        if request.path.startswith("/_control"):
            return None
        g.began = time.monotonic()
        with world.lock:
            world.in_flight += 1
            world.most_in_flight = max(world.most_in_flight, world.in_flight)
            g.counted = True
            token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
            grant = world.grant_of(token)
            g.bucket = token or request.remote_addr or "nobody"
            g.journal = {
                "at": time.time(),
                "method": request.method,
                "path": request.path,
                "query": request.query_string.decode(),
                "person_id": grant.person_id if grant else None,
                "has_bearer": bool(token),
                "has_cookie": "Cookie" in request.headers,
                "grant_type": request.form.get("grant_type"),
            }
            world.journal.append(g.journal)
            g.fault = _pick(world.faults, grant.person_id if grant else None)
            fault: Fault | None = g.fault
            if fault and fault.kind == "token_dead" and grant:
                grant.expires_at = 0.0
            if fault and fault.kind == "grant_dead" and grant:
                grant.revoked = True
        if not request.headers.get("User-Agent"):
            message = "You are not authorized to access this site because you have not provided a valid user agent."
            return _json({"error": "Forbidden", "message": message}, 403)
        if fault and fault.kind == "throttle":
            return _throttled(world, 18.49)
        # charged before the work begins: requests in flight fill the bucket
        refused = _charge(world)
        if refused is None:
            spread = random.uniform(-1, 1) * world.switches.latency_spread
            latency = world.switches.latency_seconds * (1 + spread)
            time.sleep(latency + (fault.seconds if fault and fault.kind == "slow" else 0.0))
        return refused or (_instead(fault) if fault else None)

    return before


def _pick(faults: list[Fault], person_id: int | None) -> Fault | None:
    for fault in faults:
        target = f"{request.path}?{request.query_string.decode()}"
        if not re.search(fault.path, target) or not re.fullmatch(fault.method, request.method):
            continue
        if fault.person_id not in (None, person_id):
            continue
        if fault.share < 1 and random.random() >= fault.share:
            continue
        fault.used += 1
        if fault.used <= fault.skip or (fault.times is not None and fault.used > fault.skip + fault.times):
            continue
        return fault
    return None


def _instead(fault: Fault) -> Response | None:
    """The answers that replace the route's own."""
    if fault.kind == "status":
        if fault.body == "html":
            return Response(MAINTENANCE, fault.status, content_type="text/html; charset=utf-8")
        if fault.body == "empty":
            return Response(status=fault.status)
        error = {"message": "An error occurred.", "error_code": "internal_server_error"}
        return _json({"errors": [error], "error_report_id": 1}, fault.status)
    if fault.kind == "html":
        return Response(MAINTENANCE, 200, content_type="text/html; charset=utf-8")
    if fault.kind == "empty_list":
        return _json([], 200)
    if fault.kind == "not_list":
        return _json({"unexpected": True}, 200)
    if fault.kind == "unauthorized":
        message = "user not authorized to perform that action"
        return _json({"status": "unauthorized", "errors": [{"message": message}]}, 401)
    if fault.kind == "challenge":
        answer = _json({"errors": [{"message": "Invalid access token."}]}, 401)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="canvas-lms"'
        return answer
    if fault.kind == "redirect":
        return Response(status=302, headers={"Location": f"{request.host_url}login"})
    if fault.kind == "null_token":
        return _json({"access_token": None, "token_type": "Bearer", "user": {"id": 1, "name": "x"}}, 200)
    return None


def _charge(world: World) -> Response | None:
    """The leaky bucket of each access token: a request takes 50 at its start and gets the rest back at its end."""
    switches = world.switches
    if not switches.throttle:
        return None
    with world.lock:
        level, at = world.buckets.get(g.bucket, (0.0, time.monotonic()))
        now = time.monotonic()
        level = max(0.0, level - (now - at) * switches.outflow)
        if level >= switches.high_water:
            world.buckets[g.bucket] = (level, now)
            return _throttled(world, max(switches.high_water - level, 0.0))
        world.buckets[g.bucket] = (min(level + switches.up_front, switches.maximum), now)
        g.charged = True
    return None


def _throttled(world: World, remaining: float) -> Response:
    g.journal["throttled"] = True
    status = world.switches.throttle_status
    words = "429 Too Many Requests" if status == 429 else "403 Forbidden"
    answer = Response(f"{words} (Rate Limit Exceeded)\n", status, content_type="text/plain; charset=utf-8")
    answer.headers["x-rate-limit-remaining"] = str(remaining)
    return answer


def _after(world: World) -> Callable[[Response], Response]:
    def after(response: Response) -> Response:
        if request.path.startswith("/_control"):
            return response
        switches = world.switches
        if g.get("charged"):
            is_token = request.path == "/login/oauth2/token" and request.method == "POST"
            cost = switches.token_cost if is_token else switches.cost
            with world.lock:
                level, at = world.buckets.get(g.bucket, (0.0, time.monotonic()))
                remaining = switches.high_water - level
                world.buckets[g.bucket] = (min(max(level - switches.up_front, 0.0) + cost, switches.maximum), at)
            response.headers["x-request-cost"] = str(cost)
            response.headers["x-rate-limit-remaining"] = str(remaining)
        fault: Fault | None = g.get("fault")
        if fault and response.status_code == 200:
            _spoil(response, fault)
        # Canvas starts a session for everybody; whoever shares a client between people must not keep it
        response.headers["Set-Cookie"] = f"canvas_session={secrets.token_hex(8)}; path=/; HttpOnly"
        g.journal["status"] = response.status_code
        return response

    return after


def _spoil(response: Response, fault: Fault) -> None:
    """The faults that change the route's own answer."""
    if fault.kind == "truncated":
        whole = response.get_data()
        response.set_data(whole[: max(len(whole) // 2, 1)])
    elif fault.kind == "drop":
        whole = response.get_data()
        response.set_data(whole[: max(len(whole) // 2, 1)])
        response.headers["Content-Length"] = str(len(whole))
        response.automatically_set_content_length = False
    elif fault.kind == "link_lost":
        response.headers.pop("link", None)
    elif fault.kind.startswith("link_"):
        page = request.args.get("page", "1")
        query = f"{request.base_url}?page={page}"
        target = {
            "link_loop": request.url,
            "link_foreign": f"http://canvas.example.org{request.path}?page=2",
            "link_http": f"ftp://{request.host}{request.path}?page=2",
            "link_endless": f"{query}&bookmark={time.time_ns()}",
        }[fault.kind]
        response.headers["link"] = f'<{target}>; rel="next"'


def _teardown(world: World) -> Callable[[BaseException | None], None]:
    def teardown(_: BaseException | None) -> None:
        if g.get("counted"):
            with world.lock:
                world.in_flight -= 1

    return teardown


def _json(body: object, status: int) -> Response:
    answer = jsonify(body)
    answer.status_code = status
    return answer
