"""Events of Stripe, in whatever order they arrive."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.people import act_as, persona, refused
from tests.support.races import ring
from tests.support.rows import one

Connection = psycopg.Connection[Any]
APPLY = "select public.svc_apply_stripe_event(%s)"
RECORD = "select public.svc_record_payment_event(%s, %s, %s, %s::timestamptz, %s, %s)"


class Stripe:
    """Sends events about one customer; times are seconds after the first of January 2030."""

    def __init__(self, db: Connection) -> None:
        self.db = db
        self.mark = uuid.uuid4().hex[:12]
        self.user = persona(db)
        self.sub, self.customer = f"sub_{self.mark}", f"cus_{self.mark}"
        self.price = f"price_{self.mark}"
        self.plan = self.sell("pro", stripe_price_id_monthly=self.price)
        self._numbers = itertools.count(1)

    def sell(self, name: str, **prices: str) -> uuid.UUID:
        """Puts a plan on sale at these prices of Stripe; one may be there already."""
        given = {"name": name, "display_name": name, "price_monthly": 900, "price_annual": 9000} | prices
        changes = ", ".join(f"{column} = excluded.{column}" for column in prices)
        marks = ", ".join(["%s"] * len(given))
        statement = f"""insert into public.plans ({", ".join(given)}) values ({marks})
                        on conflict (name) do update set {changes}, is_active = true returning id"""
        made: uuid.UUID = one(self.db, statement, list(given.values()))
        return made

    def send(self, kind: str, at: int, obj: dict[str, Any]) -> str:
        event = f"evt_{self.mark}_{next(self._numbers)}"
        payload = Jsonb({"id": event, "type": kind, "data": {"object": obj}})
        arguments = (event, kind, payload, f"2030-01-01T00:00:{at:02d}Z", False, "2026-10-28.endive")
        assert one(self.db, RECORD, arguments) is True
        return event

    def apply(self, event: str) -> str:
        return str(one(self.db, APPLY, (event,)))

    def subscription(self, at: int, status: str, kind: str = "updated", **changes: Any) -> str:
        obj = {
            "id": self.sub, "object": "subscription", "customer": self.customer, "status": status,
            "metadata": {"user_id": str(self.user)}, "cancel_at_period_end": False, "cancel_at": None,
            "items": {"data": [
                {"price": {"id": self.price}, "current_period_start": 1893456000, "current_period_end": 1896134400},
                {"price": {"id": "price_other"}, "current_period_start": 1893459600, "current_period_end": 1896138000},
            ]},
        } | changes  # fmt: skip
        return self.apply(self.send(f"customer.subscription.{kind}", at, obj))

    def invoice(self, at: int, status: str, kind: str = "updated", **changes: Any) -> str:
        obj = {
            "id": f"in_{self.mark}", "object": "invoice", "status": status, "currency": "eur", "created": 1893456000,
            "amount_due": 900, "amount_paid": 0, "amount_remaining": 900, "due_date": None,
            "parent": {"type": "subscription_details", "subscription_details": {"subscription": self.sub}},
            "invoice_pdf": "https://stripe.test/a.pdf", "hosted_invoice_url": "https://stripe.test/a",
        } | changes  # fmt: skip
        return self.apply(self.send(f"invoice.{kind}", at, obj))

    def row(self) -> dict[str, Any]:
        query = "select to_jsonb(s) from public.subscriptions as s where stripe_subscription_id = %s"
        return dict(one(self.db, query, (self.sub,)) or {})

    def bill(self) -> dict[str, Any]:
        query = "select to_jsonb(i) from public.invoices as i where stripe_invoice_id = %s"
        return dict(one(self.db, query, (f"in_{self.mark}",)) or {})


@pytest.fixture
def stripe(db: Connection) -> Iterator[Stripe]:
    with db.transaction(force_rollback=True):
        yield Stripe(db)


def test_an_event_is_recorded_once_and_applied_once(stripe: Stripe) -> None:
    db = stripe.db
    event = stripe.send("customer.subscription.created", 1, {"id": stripe.sub})
    again = (event, "customer.subscription.created", Jsonb({}), "2031-01-01Z", True, None)
    assert one(db, RECORD, again) is False
    assert one(db, "select livemode from public.payment_events where stripe_event_id = %s", (event,)) is False
    assert stripe.apply(stripe.send("charge.refunded", 1, {"id": "ch_1"})) == "ignored"
    sent = stripe.send("customer.subscription.updated", 1, {"id": stripe.sub, "status": "odd"})
    assert (stripe.apply(sent), stripe.apply(sent)) == ("ignored", "done")
    assert one(db, "select error_message from public.payment_events where stripe_event_id = %s", (sent,))
    refused(db, "PT404", APPLY, ("evt_nobody",))
    refused(db, "22004", APPLY, (None,))
    for place in range(5):
        refused(db, "22004", RECORD, [None if i == place else v for i, v in enumerate(again)])
    undo = "update public.payment_events set processed = false, processed_at = null where stripe_event_id = %s"
    refused(db, "23514", undo, (sent,))
    for role in ("authenticated", "app_admin", "anon"):
        with act_as(db, stripe.user, role):
            refused(db, "42501", APPLY, (event,))
            refused(db, "42501", "select from public.payment_events")


def test_a_subscription_is_mirrored(stripe: Stripe) -> None:
    assert stripe.subscription(1, "active", "created") == "applied"
    row = stripe.row()
    assert row | {"id": 0, "created_at": 0, "updated_at": 0} == {
        "id": 0, "user_id": str(stripe.user), "plan_id": str(stripe.plan), "stripe_subscription_id": stripe.sub,
        "stripe_customer_id": stripe.customer, "status": "active",
        "current_period_start": "2030-01-01T00:00:00+00:00", "current_period_end": "2030-02-01T01:00:00+00:00",
        "trial_start": None, "trial_end": None, "cancel_at_period_end": False, "canceled_at": None,
        "last_event_at": "2030-01-01T00:00:01+00:00", "created_at": 0, "updated_at": 0,
    }  # fmt: skip


def test_an_old_api_version_tells_periods_at_the_top(stripe: Stripe) -> None:
    items = {"data": [{"price": {"id": stripe.price}}]}
    top: dict[str, Any] = {"current_period_start": 1893456000, "current_period_end": 1896134400}
    stripe.subscription(1, "active", items=items, **top)
    assert stripe.row()["current_period_end"] == "2030-02-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "changes",
    [{"cancel_at_period_end": True}, {"cancel_at": 1896134400}, {"cancel_at": 1, "cancel_at_period_end": True}],
)
def test_a_scheduled_end_shows_however_it_is_told(stripe: Stripe, changes: dict[str, Any]) -> None:
    stripe.subscription(1, "active")
    stripe.subscription(2, "active", **changes)
    assert stripe.row()["cancel_at_period_end"] is True


@pytest.mark.parametrize(
    ("events", "outcomes", "final"),
    [
        # created{incomplete} after updated{active} does not end a paid subscription
        ([(5, "active"), (4, "incomplete")], ["applied", "stale"], "active"),
        # in one second the later to arrive wins
        ([(5, "incomplete"), (5, "active")], ["applied", "applied"], "active"),
        # a late update does not revive a final state, whatever its time
        ([(5, "canceled"), (5, "active")], ["applied", "stale"], "canceled"),
        ([(5, "canceled"), (9, "active")], ["applied", "stale"], "canceled"),
        ([(5, "incomplete_expired"), (9, "active")], ["applied", "stale"], "incomplete_expired"),
        ([(5, "active"), (5, "canceled")], ["applied", "applied"], "canceled"),
        ([(1, "trialing"), (2, "active"), (3, "past_due"), (4, "unpaid")], ["applied"] * 4, "unpaid"),
    ],
)
def test_order(stripe: Stripe, events: list[tuple[int, str]], outcomes: list[str], final: str) -> None:
    assert [stripe.subscription(at, status) for at, status in events] == outcomes
    assert stripe.row()["status"] == final


def test_a_deletion_cancels_whatever_state_it_carries(stripe: Stripe) -> None:
    stripe.subscription(1, "active")
    assert stripe.subscription(2, "active", "deleted") == "applied"
    assert stripe.row()["status"] == "canceled"


def test_an_unknown_customer_waits_for_the_checkout_that_names_him(stripe: Stripe) -> None:
    assert stripe.subscription(1, "incomplete", "created", metadata={}) == "unlinked"
    assert stripe.subscription(2, "active", metadata={}) == "unlinked"
    assert stripe.row() == {}
    checkout = {"customer": stripe.customer, "subscription": stripe.sub, "client_reference_id": str(stripe.user)}
    assert stripe.apply(stripe.send("checkout.session.completed", 2, checkout)) == "applied"
    assert (stripe.row()["status"], stripe.row()["user_id"]) == ("active", str(stripe.user))
    waiting = "select count(*) from public.payment_events where not processed and stripe_event_id like %s"
    assert one(stripe.db, waiting, (f"evt_{stripe.mark}%",)) == 0
    # a later subscription of the customer belongs to the same person
    stripe.sub = f"sub_{stripe.mark}_2"
    assert stripe.subscription(3, "active", metadata={}) == "applied"


@pytest.mark.parametrize("person", ["", "nobody", "00000000-0000-4000-8000-000000000000", None])
def test_metadata_that_names_nobody(stripe: Stripe, person: str | None) -> None:
    assert stripe.subscription(1, "active", metadata={"user_id": person}) == "unlinked"
    checkout = {"customer": stripe.customer, "client_reference_id": person}
    assert stripe.apply(stripe.send("checkout.session.completed", 2, checkout)) == "ignored"


def test_an_unknown_price_keeps_the_plan_or_waits(stripe: Stripe) -> None:
    items = {"data": [{"price": {"id": "price_unknown"}}]}
    assert stripe.subscription(1, "active", items=items) == "unlinked"
    stripe.subscription(2, "active")
    assert stripe.subscription(3, "past_due", items=items) == "applied"
    assert (stripe.row()["plan_id"], stripe.row()["status"]) == (str(stripe.plan), "past_due")
    basic = stripe.sell("basic", stripe_price_id_annual=f"{stripe.price}_y")
    stripe.subscription(4, "active", items={"data": [{"plan": {"id": f"{stripe.price}_y"}}]})
    assert stripe.row()["plan_id"] == str(basic)


def test_an_invoice_may_come_before_its_subscription(stripe: Stripe) -> None:
    assert stripe.invoice(1, "open") == "applied"
    bill = stripe.bill()
    assert (bill["subscription_id"], bill["stripe_subscription_id"]) == (None, stripe.sub)
    assert (bill["amount_due"], bill["currency"], bill["invoice_date"]) == (900, "eur", "2030-01-01")
    with act_as(stripe.db, stripe.user):
        assert one(stripe.db, "select count(*) from public.invoices") == 0
    stripe.subscription(2, "active")
    assert stripe.bill()["subscription_id"] == stripe.row()["id"]
    with act_as(stripe.db, stripe.user):
        assert one(stripe.db, "select count(*) from public.invoices") == 1
    with act_as(stripe.db, persona(stripe.db)):
        assert one(stripe.db, "select count(*) from public.invoices") == 0


@pytest.mark.parametrize(
    ("events", "outcomes", "final"),
    [
        ([(5, "paid"), (4, "open")], ["applied", "stale"], "paid"),
        ([(5, "paid"), (5, "open")], ["applied", "stale"], "paid"),
        ([(5, "open"), (5, "draft")], ["applied", "stale"], "open"),
        ([(5, "draft"), (5, "open"), (5, "paid")], ["applied"] * 3, "paid"),
        ([(5, "void"), (9, "open")], ["applied", "stale"], "void"),
        ([(5, "uncollectible"), (9, "paid")], ["applied", "applied"], "paid"),
        ([(5, "paid"), (9, "paid")], ["applied", "applied"], "paid"),
    ],
)
def test_order_of_invoices(stripe: Stripe, events: list[tuple[int, str]], outcomes: list[str], final: str) -> None:
    assert [stripe.invoice(at, status) for at, status in events] == outcomes
    assert stripe.bill()["status"] == final


def test_an_invoice_of_an_old_api_version_a_preview_and_a_credit(stripe: Stripe) -> None:
    assert stripe.invoice(1, "draft", "upcoming", id=None) == "ignored"
    stripe.invoice(2, "open", parent=None, subscription={"id": stripe.sub}, amount_due=-5, due_date=1893542400)
    bill = stripe.bill()
    assert (bill["stripe_subscription_id"], bill["amount_due"], bill["due_date"]) == (stripe.sub, 0, "2030-01-02")


def test_accounting_outlives_the_account_and_so_does_the_proof_against_replay(stripe: Stripe) -> None:
    db = stripe.db
    stripe.subscription(1, "active")
    stripe.invoice(2, "paid", amount_paid=900, amount_remaining=0)
    db.execute("delete from auth.users where id = %s", (stripe.user,))
    assert (stripe.row(), stripe.bill()) == ({}, {})
    kept = """select stripe_subscription_id, amount_paid, status::text, currency
              from private.billing_archive where stripe_invoice_id = %s"""
    assert db.execute(kept, (f"in_{stripe.mark}",)).fetchall() == [(stripe.sub, 900, "paid", "eur")]
    events = "select count(*), count(user_id) from public.payment_events where stripe_event_id like %s"
    assert db.execute(events, (f"evt_{stripe.mark}%",)).fetchone() == (2, 0)


def test_a_plan_somebody_had_is_not_deleted(stripe: Stripe) -> None:
    stripe.subscription(1, "canceled")
    admin = persona(stripe.db, "admin")
    with (
        act_as(stripe.db, admin, "app_admin"),
        pytest.raises(psycopg.IntegrityError) as caught,
        stripe.db.transaction(),
    ):
        stripe.db.execute("delete from public.plans where id = %s", (stripe.plan,))
    assert caught.value.sqlstate in {"23503", "23001"}


def test_visitors_see_what_is_on_sale(stripe: Stripe) -> None:
    stripe.db.execute("update public.plans set is_active = false where id = %s", (stripe.plan,))
    see = "select count(*) from public.plans where id = %s"
    with act_as(stripe.db, None, "anon"):
        assert one(stripe.db, see, (stripe.plan,)) == 0
        refused(stripe.db, "42501", "update public.plans set price_monthly = 0")
    with act_as(stripe.db, persona(stripe.db, "admin"), "app_admin"):
        assert one(stripe.db, see, (stripe.plan,)) == 1
    stripe.db.execute("update public.plans set is_active = true where id = %s", (stripe.plan,))
    with act_as(stripe.db, None, "anon"):
        assert one(stripe.db, see, (stripe.plan,)) == 1


def test_two_workers_with_one_event_apply_it_once(db_url: str) -> None:
    with ring(db_url) as race:
        event = f"evt_{uuid.uuid4().hex}"
        made = race.owner.execute(
            "insert into public.payment_events (stripe_event_id, event_type, event_created) values (%s, 'x', now()) "
            "returning id",
            (event,),
        ).fetchone()
        assert made is not None
        race.clean_up("public.payment_events", made[0])
        one_session, other_session = race.session(), race.session()
        assert one(one_session, APPLY, (event,)) == "ignored"
        waiting = race.start(other_session, APPLY, (event,))
        race.wait_until_blocked(other_session)
        one_session.commit()
        assert waiting.result(timeout=60) == ("done",)
