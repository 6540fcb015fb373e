"""Figures for operators, and since when a job waits"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("labels", sa.String(length=255), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", "part"),
    )
    op.add_column("job", sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_index("ix_job_state", "job")
    op.create_index("ix_job_state", "job", ["state", "deleted_at", "queued_at"])


def downgrade() -> None:
    op.drop_index("ix_job_state", "job")
    op.create_index("ix_job_state", "job", ["state"])
    op.drop_column("job", "queued_at")
    op.drop_table("tally")
