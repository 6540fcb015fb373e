"""Deliveries are found by their job, which may be deleted, and listed by time"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LOG, BY_JOB, BY_WEBHOOK = "ix_webhookdelivery_log", "ix_webhookdelivery_job_id", "ix_webhookdelivery_webhook_id"


def upgrade() -> None:
    op.create_index(LOG, "webhookdelivery", ["webhook_id", "created_at", "id"])
    op.create_index(BY_JOB, "webhookdelivery", ["job_id"])
    op.drop_index(BY_WEBHOOK, "webhookdelivery")


def downgrade() -> None:
    op.create_index(BY_WEBHOOK, "webhookdelivery", ["webhook_id"])
    op.drop_index(BY_JOB, "webhookdelivery")
    op.drop_index(LOG, "webhookdelivery")
