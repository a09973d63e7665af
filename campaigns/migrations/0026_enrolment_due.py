import django.contrib.postgres.fields
import django.db.models.deletion
import tenants.fields
import tenants.scoping
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0025_touch_room'),
        ('tenants', '0002_brand_without_key'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='enrolment',
            name='enrolment_due',
        ),
        migrations.CreateModel(
            name='EnrolmentDue',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('next_run_at', models.DateTimeField()),
                ('is_graph', models.BooleanField()),
                ('n', models.IntegerField()),
                ('ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('brand', tenants.fields.BrandField(db_constraint=False, db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
            ],
            options={
                'indexes': [models.Index(fields=['brand', 'is_graph', 'next_run_at'], name='enrolment_due')],
            },
        ),
        # room for steps: a row is rewritten within its page
        migrations.RunSQL("ALTER TABLE campaigns_enrolment SET (fillfactor = 80)", migrations.RunSQL.noop),
        migrations.RunSQL(
            """
            INSERT INTO campaigns_enrolmentdue (brand_id, next_run_at, is_graph, n, ids)
            SELECT brand_id, next_run_at, version_id IS NOT NULL, count(*), array_agg(id)
              FROM campaigns_enrolment WHERE ended_at IS NULL AND NOT is_parked AND next_run_at IS NOT NULL
             GROUP BY 1, 2, 3, id / 1024
            """,
            migrations.RunSQL.noop,
        ),
    ]
