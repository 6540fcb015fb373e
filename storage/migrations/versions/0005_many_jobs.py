"""Priorities, reprocessing, quotas, webhooks"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("account", sa.Column("quotas", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("job", sa.Column("priority", sa.String(), nullable=False, server_default="interactive"))
    op.add_column("job", sa.Column("reprocess_of", sa.Uuid(), nullable=True))
    op.add_column("job", sa.Column("batch_id", sa.Uuid(), nullable=True))
    op.add_column("job", sa.Column("reprocessing", sa.JSON(), nullable=True))
    op.add_column("job", sa.Column("fitted", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("job", sa.Column("expired_at", TIME, nullable=True))
    op.create_index("ix_job_reprocess_of", "job", ["reprocess_of"])
    op.create_table(
        "batch",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("account_id", sa.Uuid(), sa.ForeignKey("account.id"), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
    )
    op.create_index("ix_batch_account_id", "batch", ["account_id"])
    op.create_table(
        "batchitem",
        sa.Column("batch_id", sa.Uuid(), sa.ForeignKey("batch.id"), primary_key=True),
        sa.Column("job_id", sa.Uuid(), primary_key=True),
        sa.Column("shadow_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
    )
    op.create_index("ix_batchitem_state", "batchitem", ["state"])
    op.create_table(
        "webhook",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("account_id", sa.Uuid(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_webhook_account_id", "webhook", ["account_id"])
    op.create_table(
        "webhookdelivery",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("webhook_id", sa.Uuid(), sa.ForeignKey("webhook.id"), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=255), nullable=True),
    )
    op.create_index("ix_webhookdelivery_webhook_id", "webhookdelivery", ["webhook_id"])
    op.create_index("ix_webhookdelivery_due", "webhookdelivery", ["state", "due_at"])


def downgrade() -> None:
    for table in ("webhookdelivery", "webhook", "batchitem", "batch"):
        op.drop_table(table)
    op.drop_index("ix_job_reprocess_of", "job")
    for column in ("expired_at", "fitted", "reprocessing", "batch_id", "reprocess_of", "priority"):
        op.drop_column("job", column)
    op.drop_column("account", "quotas")
