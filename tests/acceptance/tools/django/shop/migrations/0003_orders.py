"""The schema only: a column whose default only Django knows, a table with a foreign key, an index."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("shop", "0002_names"),)
    operations = (
        migrations.AddField("Customer", "country", models.CharField(max_length=2, default="AT")),
        migrations.AddIndex("Customer", models.Index(fields=["family_name"], name="customer_family_name")),
        migrations.CreateModel(
            "Order",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("customer", models.ForeignKey("shop.Customer", models.CASCADE)),
                ("total", models.DecimalField(max_digits=10, decimal_places=2)),
            ],
        ),
    )
