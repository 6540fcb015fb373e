"""Processing time of deleted and retried jobs counts for its account's month"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("spent_seconds", sa.JSON(), server_default="{}", nullable=False))


def downgrade() -> None:
    op.drop_column("account", "spent_seconds")
