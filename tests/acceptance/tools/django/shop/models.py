"""What the migrations come to: `migrate` makes content types and permissions of these."""

from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=80)
    family_name = models.CharField(max_length=80, null=True)
    country = models.CharField(max_length=2, default="AT")

    class Meta:
        indexes = (models.Index(fields=["family_name"], name="customer_family_name"),)


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    total = models.DecimalField(max_digits=10, decimal_places=2)
