"""Which jobs started last, for turns between accounts"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_job_started_at", "job", ["started_at"])


def downgrade() -> None:
    op.drop_index("ix_job_started_at", "job")
