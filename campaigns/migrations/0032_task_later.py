import django.db.models.deletion
import scrm.clock
import tenants.fields
import tenants.scoping
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0031_request_priority'),
        ('contacts', '0014_cells'),
        ('org', '0003_app_state'),
        ('tenants', '0002_brand_without_key'),
    ]

    operations = [
        migrations.CreateModel(
            name='TaskDelay',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('by', models.CharField(max_length=64)),
                ('at', models.DateTimeField(default=scrm.clock.now)),
                ('until', models.DateTimeField()),
                ('why', models.CharField(choices=[('unreached', 'Not reached'), ('busy', 'Had no time'), ('asked', 'Asked to be called again'), ('other', 'Something else')], max_length=9)),
                ('words', models.CharField(blank=True, max_length=300)),
                ('due_before', models.DateTimeField()),
                ('later_before', models.DateTimeField(null=True)),
                ('taken_back_at', models.DateTimeField(null=True)),
                ('brand', tenants.fields.BrandField(db_constraint=False, db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
                ('staff', tenants.fields.BrandForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='org.staff')),
                ('task', tenants.fields.BrandForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='delays', to='campaigns.stafftask')),
            ],
            options={
                'indexes': [models.Index(fields=['brand', 'task', '-id'], name='task_delay_newest')],
            },
        ),
        migrations.AddField(
            model_name='stafftask',
            name='first_due_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='stafftask',
            name='later_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='stafftask',
            name='later_told_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='stafftask',
            name='n_later',
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='stafftask',
            name='outcome',
            field=models.CharField(blank=True, choices=[('reached', 'Reached'), ('agreed', 'Agreed'), ('declined', 'Not interested'), ('unreached', 'Not reached')], db_default='', default='', max_length=9, verbose_name='How it ended'),
        ),
        migrations.AddField(
            model_name='taskpolicy',
            name='later_hours',
            field=models.SmallIntegerField(db_default=24, default=24, verbose_name='A guide may put a task off beyond its deadline by hours'),
        ),
        migrations.AddIndex(
            model_name='stafftask',
            index=models.Index(condition=models.Q(('later_at__isnull', False), ('later_told_at__isnull', True), ('state', 'open')), fields=['brand', 'later_at', 'staff'], name='staff_task_later'),
        ),
    ]
