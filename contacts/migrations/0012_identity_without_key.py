import django.db.models.deletion
import tenants.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('contacts', '0011_follow_without_keys'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='contactstat',
            name='stat_last_order',
        ),
        migrations.AlterField(
            model_name='identity',
            name='contact',
            field=tenants.fields.BrandForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='identities', to='contacts.contact'),
        ),
        migrations.AddIndex(
            model_name='contactstat',
            index=models.Index(condition=models.Q(('last_order_at__isnull', False)), fields=['brand', 'last_order_at'], include=('contact', 'position', 'spent_fen', 'n_orders', 'do_not_contact'), name='stat_last_order'),
        ),
    ]
