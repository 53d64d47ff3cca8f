"""The values of every enum, in life-cycle order: clients sort and compare by it, and a value cannot be moved later."""

from __future__ import annotations

from typing import Any

import psycopg

ENUMS = {
    "user_role": "student tutor parent teacher admin",
    "timezone_source": "default canvas person",
    "learning_style": "visual textual mixed",
    "guardianship_status": "pending active revoked",
    "consent_basis": "student_consent minor_verified",
    "integration_provider": "canvas google_calendar outlook_calendar canvas_feed",
    "integration_status": "pending connected expired revoked error",
    "lms_connection_status": "pending active disabled",
    "assignment_status": "open submitted graded removed",
    "headstart_trigger": "manual assignment_published due_soon content_changed",
    "headstart_run_status": "queued running succeeded failed cancelled",
    "headstart_doc_status": "draft ready superseded failed",
    "study_block_status": "planned in_progress completed missed cancelled",
    "notification_type": (
        "assignment_new assignment_due headstart_ready headstart_failed lecture_ready lecture_failed "
        "study_block_reminder nudge integration_error billing system question_escalated announcement "
        "review_ready week_started"
    ),
    "notification_status": "pending sent dismissed failed",
    "nudge_type": "login inactivity cross_subject",
    "nudge_channel": "in_app email both",
    "lecture_status": "pending downloading completed failed",
    "document_status": "uploaded failed",
    "ingest_status": "pending ready failed none",
    "message_role": "user assistant system",
    "message_status": "complete streaming stopped interrupted failed",
    "class_status": "active archived",
    "content_source_kind": "upload url canvas_page canvas_file text",
    "content_source_status": "pending processing ready failed",
    "generated_content_kind": "lesson_plan quiz rubric worksheet slides summary other",
    "generated_content_status": "draft approved archived",
    "week_status": "planned active completed archived",
    "kpi_trend": "up down stable",
    "review_depth": "quick standard deep",
    "review_status": "pending running completed failed",
    "tutor_assignment_status": "active paused completed",
    "goal_status": "active completed paused cancelled",
    "summary_type": "normal brief missing_transcript",
    "practice_source": "bank ai_generated",
    "qa_confidence": "High Medium Low",
    "override_type": "summary practice qa_answer",
    "invitation_kind": "guardian tutor",
    "practice_answer_kind": "text exact numeric choice",
    "practice_grader": "rule model tutor",
    "practice_review_state": "none needs_review reviewed",
    "goal_target": "answers minutes sessions",
    "activity_kind": "active freeze",
    "freeze_kind": "earned used",
    "plan_name": "free basic pro enterprise",
    "subscription_status": "incomplete incomplete_expired trialing active past_due canceled unpaid paused",
    "invoice_status": "draft open paid uncollectible void",
    "job_type": (
        "canvas_sync canvas_courses_cache headstart chat_answer content_generation lecture_download "
        "lecture_transcription lecture_ingest document_ingest code_review week_notes brand_package session_summary "
        "nudge_dispatch notification_dispatch stats_refresh catalog_sync storage_cleanup account_deletion "
        "canvas_revoke content_source practice_grading practice_calibration lti_score headstart_scan lti_roster "
        "chunk_embedding week_advance kpi_refresh question_answer socratic_answer socratic_insights canvas_sync_scan "
        "due_scan practice_generation"
    ),
    "job_status": "queued running succeeded failed cancelled",
    "job_state": "later waiting ready running over",
    "agent_type": "clo engineer socratic brand headstart assistant tutor_companion",
}


def test_enums_hold_these_values_in_this_order(db: psycopg.Connection[Any]) -> None:
    found = dict(
        db.execute(
            "select t.typname, string_agg(enumlabel, ' ' order by enumsortorder) from pg_enum "
            "join pg_type as t on t.oid = enumtypid "
            "where typnamespace in ('public'::regnamespace, 'private'::regnamespace) group by 1"
        ).fetchall()
    )
    assert found == ENUMS
