
import contacts.models.events
import django.contrib.postgres.fields
import django.db.models.deletion
import scrm.clock
import tenants.fields
import tenants.scoping
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('contacts', '0002_groups'),
        ('org', '0001_initial'),
        ('tenants', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='WaitingBehaviour',
            fields=[
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=16)),
                ('scope', models.CharField(blank=True, max_length=64)),
                ('value', models.CharField(max_length=64)),
                ('type', models.SmallIntegerField()),
                ('at', models.DateTimeField()),
                ('object_id', models.BigIntegerField(null=True)),
                ('source', models.CharField(max_length=20)),
                ('data', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(default=scrm.clock.now)),
            ],
            options={
                'indexes': [
                    models.Index(fields=['brand', 'kind', 'scope', 'value'], name='behaviour_waiting'),
                    models.Index(fields=['brand', 'created_at'], name='behaviour_waiting_old'),
                ],
            },
        ),
        migrations.AddField(
            model_name='contact',
            name='stage_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name='event',
            name='type',
            field=models.SmallIntegerField(choices=contacts.models.events.event_types),
        ),
        migrations.CreateModel(
            name='BehaviourKind',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=40, verbose_name='Key')),
                ('label', models.CharField(max_length=40, verbose_name='Name')),
                ('archived_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(default=scrm.clock.now)),
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('brand', 'key'), name='behaviour_kind_key'),
                ],
            },
        ),
        migrations.CreateModel(
            name='CustomField',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=40, verbose_name='Key')),
                ('label', models.CharField(max_length=40, verbose_name='Name')),
                ('type', models.CharField(choices=[('text', 'Text'), ('number', 'Number'), ('date', 'Date'), ('choice', 'Choice'), ('bool', 'Yes or no')], max_length=6, verbose_name='Type')),
                ('options', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=60), default=list, size=None)),
                ('position', models.SmallIntegerField(default=0)),
                ('archived_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(default=scrm.clock.now)),
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('brand', 'key'), name='custom_field_key'),
                ],
            },
        ),
        migrations.CreateModel(
            name='CustomValue',
            fields=[
                ('pk', models.CompositePrimaryKey('brand', 'field', 'contact', blank=True, editable=False, primary_key=True, serialize=False)),
                ('value_text', models.CharField(max_length=200, null=True)),
                ('value_number', models.FloatField(null=True)),
                ('value_date', models.DateField(null=True)),
                ('value_bool', models.BooleanField(null=True)),
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
                ('contact', tenants.fields.BrandForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='contacts.contact')),
                ('field', tenants.fields.BrandForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='contacts.customfield')),
            ],
            options={
                'indexes': [
                    models.Index(fields=['brand', 'contact'], name='custom_value_contact'),
                    models.Index(condition=models.Q(('value_text__isnull', False)), fields=['brand', 'field', 'value_text'], include=('contact',), name='custom_value_text'),
                    models.Index(condition=models.Q(('value_number__isnull', False)), fields=['brand', 'field', 'value_number'], include=('contact',), name='custom_value_number'),
                    models.Index(condition=models.Q(('value_date__isnull', False)), fields=['brand', 'field', 'value_date'], include=('contact',), name='custom_value_date'),
                    models.Index(condition=models.Q(('value_bool__isnull', False)), fields=['brand', 'field', 'value_bool'], include=('contact',), name='custom_value_bool'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Reminder',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('text', models.CharField(max_length=200, verbose_name='What to do')),
                ('due_at', models.DateTimeField(verbose_name='When')),
                ('noticed_at', models.DateTimeField(null=True)),
                ('done_at', models.DateTimeField(null=True)),
                ('done_by', models.CharField(blank=True, max_length=64)),
                ('created_by', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(default=scrm.clock.now)),
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
                ('contact', tenants.fields.BrandForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='contacts.contact')),
                ('staff', tenants.fields.BrandForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='org.staff')),
            ],
            options={
                'indexes': [
                    models.Index(condition=models.Q(('done_at__isnull', True), ('noticed_at__isnull', True)), fields=['brand', 'due_at'], name='reminder_due'),
                    models.Index(condition=models.Q(('done_at__isnull', True)), fields=['brand', 'staff', 'due_at', 'id'], name='reminder_open'),
                    models.Index(fields=['brand', 'contact', '-due_at'], name='reminder_contact'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Stage',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=20, verbose_name='Name')),
                ('position', models.SmallIntegerField(default=0)),
                ('archived_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(default=scrm.clock.now)),
                ('brand', tenants.fields.BrandField(db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('brand', 'name'), name='stage_name'),
                ],
            },
        ),
        migrations.AddField(
            model_name='contact',
            name='stage',
            field=tenants.fields.BrandForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='contacts.stage'),
        ),
        migrations.AddIndex(
            model_name='contact',
            index=models.Index(condition=models.Q(('stage__isnull', False)), fields=['brand', 'stage', '-added_at', '-id'], name='contact_stage'),
        ),
    ]
