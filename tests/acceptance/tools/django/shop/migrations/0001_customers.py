"""Production's: customers, fifty of them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = (
        migrations.CreateModel(
            "Customer",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=80)),
            ],
        ),
        migrations.RunSQL(
            "insert into shop_customer (name) select 'Ada Customer' || n from generate_series(1, 50) n"
        ),
    )
