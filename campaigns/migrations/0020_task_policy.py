import django.db.models.deletion
import tenants.fields
import tenants.scoping
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0019_touch_orders'),
        ('tenants', '0002_brand_without_key'),
    ]

    operations = [
        migrations.CreateModel(
            name='TaskPolicy',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('remind_hours', models.SmallIntegerField(default=2, verbose_name='Remind the guide, hours before the deadline')),
                ('escalate_hours', models.SmallIntegerField(default=1, verbose_name='Tell the manager, hours after the deadline')),
                ('send_hours', models.SmallIntegerField(default=24, verbose_name='Tell the manager of a send that is not confirmed, after hours')),
                ('brand', tenants.fields.BrandField(db_constraint=False, db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('brand',), name='task_policy_once')],
            },
        ),
    ]
