"""A data step in Python: the family name out of the name."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade():
    op.add_column("customers", sa.Column("family_name", sa.Text))
    customers = sa.table("customers", sa.column("id"), sa.column("name"), sa.column("family_name"))
    for number, name in op.get_bind().execute(sa.select(customers.c.id, customers.c.name)).all():
        op.execute(customers.update().where(customers.c.id == number).values(family_name=name.split(" ")[1]))
