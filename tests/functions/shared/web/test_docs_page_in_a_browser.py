"""The API page in a real browser, as a person meets it; and what a machine without a browser is told."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from functions.shared.web.openapi import BASE
from scripts.native.stack import Stack
from tests.support import browser
from tests.support.browser import NoBrowser, run_in_browser

TOKEN = "header.payload.signature"

VISIT = """
const [address, operation, token] = given
const problems = [], requests = [], sent = []
page.on('console', (line) => { if (['error', 'warn'].includes(line.type())) problems.push(line.text()) })
page.on('pageerror', (problem) => problems.push(String(problem)))
page.on('requestfailed', (request) => problems.push(`${request.url()} ${request.failure()?.errorText}`))
page.on('request', (request) => {
  requests.push(request.url())
  if (request.headers().authorization) sent.push(request.headers().authorization)
})
const answer = await page.goto(address, { waitUntil: 'networkidle0' })
await page.waitForSelector('.opblock-tag')
const text = (selector) => page.$$eval(selector, (all) => all.map((one) => one.innerText.trim()))
const groups = await page.$$eval('.opblock-tag', (all) => all.map((one) => one.dataset.tag))
const operations = (await page.$$('.opblock')).length

await page.click('.authorize')
await page.waitForSelector('.auth-container input')
await page.type('.auth-container input', token)
await page.click('.auth-btn-wrapper .authorize')
await page.click('.auth-btn-wrapper .btn-done')

const block = `#${operation}`
await page.click(`${block} .opblock-summary-control`)
await page.waitForSelector(`${block} .responses-table`)
const statuses = await text(`${block} .responses-table .response-col_status`)
const described = (await text(`${block} .responses-table`)).join(' ')
await page.click(`${block} .try-out__btn`)
await page.waitForSelector(`${block} .execute`)
const called = page.waitForResponse((one) => one.url().includes('/canvas-oauth/') && one.request().method() === 'POST')
await page.click(`${block} .execute`)
const status = (await called).status()
const expected = (line) => line.includes('the server responded with a status of 401')
await say({
  policy: answer.headers()['content-security-policy'],
  groups, operations, statuses, described, status, sent, requests,
  problems: problems.filter((line) => !expected(line)),
})
"""


def test_a_person_reads_the_page_and_calls_with_a_token(stack: Stack, node: str) -> None:
    document = httpx.get(f"{stack.functions_url}/openapi.json").json()
    operations = [said for path in document["paths"].values() for said in path.values()]
    chosen = document["paths"][f"{BASE}/canvas-oauth/start"]["post"]
    element = f"operations-canvas-oauth-{re.sub(r'[^A-Za-z0-9_-]', '_', chosen['operationId'])}"
    seen = run_in_browser(node, VISIT, f"{stack.functions_url}/docs", element, TOKEN)
    assert "script-src 'self'" in seen["policy"]
    assert "unsafe" not in seen["policy"]
    assert set(seen["groups"]) == {tag for said in operations for tag in said["tags"]}
    assert len(seen["groups"]) >= 3
    assert seen["operations"] == len(operations)
    assert set(chosen["responses"]) <= set(seen["statuses"])
    for code in ("unauthorized", "rate_limited"):
        assert code in seen["described"]
    assert (seen["status"], seen["sent"]) == (401, [f"Bearer {TOKEN}"])
    assert seen["problems"] == []
    strangers = [url for url in seen["requests"] if not url.startswith((f"{stack.url}/", "data:", "blob:"))]
    assert strangers == []


def test_a_machine_without_a_browser_is_told_how_to_get_one(
    node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "PACKAGE", tmp_path)
    with pytest.raises(NoBrowser, match=r"no browser here\. Install Chromium or Chrome"):
        run_in_browser(node, "await say(1)")


def test_a_browser_that_does_not_start_is_named(node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho libnss3.so is missing >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(NoBrowser, match=r"(?s)libnss3\.so is missing.*Install Chromium or Chrome"):
        run_in_browser(node, "await say(1)")


def test_the_browser_reaches_this_machine_alone(node: str) -> None:
    script = "await say(await page.goto('http://example.com/').catch((problem) => problem.message))"
    assert "ERR_NAME_NOT_RESOLVED" in run_in_browser(node, script)
