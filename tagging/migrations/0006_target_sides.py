import django.db.models.deletion
import tagging.models.bits
import tenants.fields
import tenants.scoping
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tagging', '0005_segments'),
        ('tenants', '0001_initial'),
    ]

    operations = [
        # another key: made anew, what it held was of acts that are over
        migrations.DeleteModel(name='TagTarget'),
        migrations.CreateModel(
            name='TagTarget',
            fields=[
                ('pk', models.CompositePrimaryKey('brand', 'act_id', 'side', 'chunk', blank=True, editable=False, primary_key=True, serialize=False)),
                ('act_id', models.BigIntegerField()),
                ('side', models.SmallIntegerField(choices=[(0, 'In'), (1, 'Out')], default=0)),
                ('chunk', models.IntegerField()),
                ('n', models.IntegerField()),
                ('bits', tagging.models.bits.BitsField()),
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
            ],
            options={
                'abstract': False,
            },
        ),
    ]
