"""What administrators do with registrations: look at them, approve them, switch them off."""

from __future__ import annotations

from typing import Any

from functions.shared.database import Database, rpc


def listed(database: Database) -> list[dict[str, Any]]:
    """Every registration, newest first, with its platform, its deployments, and when it was last used."""
    return list(rpc(database.service(), "svc_list_lti_registrations", safe=True))


def approve(
    database: Database,
    registration_id: str,
    decided_by: str | None,
    lms_connection_id: str | None,
    deployment_id: str | None,
) -> None:
    """Lets a registration in, with the deployments that wait; audited.

    :param decided_by: the administrator; None when the secret key decided
    :param lms_connection_id: the school of ``deployment_id``, which is registered with it
    :raise NotFound: there is no such registration or connection
    :raise Conflict: its platform is switched off, or the deployment belongs to another school
    """
    args = {"p_registration_id": registration_id, "p_status": "active", "p_decided_by": decided_by}
    more = {"p_lms_connection_id": lms_connection_id, "p_deployment_id": deployment_id}
    rpc(database.service(), "svc_decide_lti_registration", {**args, **more}, safe=True)


def disable(database: Database, registration_id: str, decided_by: str | None) -> None:
    """Switches a registration off; audited. Launches, tickets and jobs of it are refused from then on.

    :raise NotFound: there is no such registration
    """
    args = {"p_registration_id": registration_id, "p_status": "disabled", "p_decided_by": decided_by}
    rpc(database.service(), "svc_decide_lti_registration", args, safe=True)
