"""A data step in Python: the family name out of the name."""

from django.db import migrations, models


def fill(apps, _editor):
    for customer in apps.get_model("shop", "Customer").objects.all():
        customer.family_name = customer.name.split(" ")[1]
        customer.save()


class Migration(migrations.Migration):
    dependencies = (("shop", "0001_customers"),)
    operations = (
        migrations.AddField("Customer", "family_name", models.CharField(max_length=80, null=True)),
        migrations.RunPython(fill),
    )
