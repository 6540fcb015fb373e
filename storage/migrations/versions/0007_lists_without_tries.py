"""The index of an account's jobs knows which rows are tries, so that counting a list reads no rows"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NAME = "ix_job_account_created"


def upgrade() -> None:
    op.drop_index(NAME, "job")
    op.create_index(NAME, "job", ["account_id", "deleted_at", "reprocess_of", "created_at", "id"])


def downgrade() -> None:
    op.drop_index(NAME, "job")
    op.create_index(NAME, "job", ["account_id", "deleted_at", "created_at", "id"])
