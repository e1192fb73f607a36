"""The schema only: a table with an enum and a foreign key, an index, a NOT NULL on what 0002 filled."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade():
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("customer_id", sa.BigInteger, sa.ForeignKey("customers.id"), nullable=False, index=True),
        sa.Column("state", sa.Enum("open", "paid", name="order_state"), nullable=False),
    )
    op.create_index("customers_family_name", "customers", ["family_name"])
    op.alter_column("customers", "family_name", nullable=False)
