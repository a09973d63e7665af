import django.db.models.deletion
import tenants.fields
import tenants.scoping
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0018_kind_add'),
        ('tenants', '0002_brand_without_key'),
    ]

    operations = [
        migrations.CreateModel(
            name='TouchOrder',
            fields=[
                ('pk', models.CompositePrimaryKey('brand', 'order_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('order_id', models.BigIntegerField()),
                ('at', models.DateTimeField()),
                ('touch_at', models.DateTimeField()),
                ('touch_id', models.BigIntegerField()),
                ('fen', models.BigIntegerField()),
                ('brand', tenants.fields.BrandField(db_constraint=False, db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
            ],
            options={
                'indexes': [models.Index(fields=['brand', 'touch_id'], name='touch_order_touch')],
            },
        ),
    ]
