import django.contrib.postgres.fields
import django.db.models.deletion
import scrm.clock
import tenants.fields
import tenants.scoping
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('groups', '0001_groups'),
        ('org', '0001_initial'),
        ('tenants', '0002_brand_without_key'),
        ('wecom', '0004_media_use'),
    ]

    operations = [
        migrations.CreateModel(
            name='GroupCode',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=60, verbose_name='Name')),
                ('group_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('is_growing', models.BooleanField(default=True, verbose_name='WeCom makes a new group when all are full')),
                ('base_name', models.CharField(blank=True, max_length=40, verbose_name='Name of new groups')),
                ('state', models.CharField(editable=False, max_length=30)),
                ('config_id', models.CharField(blank=True, editable=False, max_length=64)),
                ('sync_state', models.CharField(choices=[('waiting', 'Being made in WeCom'), ('ok', 'Live'), ('failed', 'WeCom refused it')], default='waiting', editable=False, max_length=8)),
                ('sync_error', models.CharField(blank=True, editable=False, max_length=300)),
                ('claimed_at', models.DateTimeField(editable=False, null=True)),
                ('due_at', models.DateTimeField(editable=False, null=True)),
                ('n_tries', models.IntegerField(default=0, editable=False)),
                ('created_by', models.CharField(blank=True, editable=False, max_length=64)),
                ('created_at', models.DateTimeField(default=scrm.clock.now, editable=False)),
                ('deleted_at', models.DateTimeField(editable=False, null=True)),
                ('brand', tenants.fields.BrandField(db_constraint=False, db_index=False, default=tenants.scoping.current_brand_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.brand')),
                ('corp', tenants.fields.BrandForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='org.corp')),
                ('file', tenants.fields.BrandForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='wecom.mediafile')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('deleted_at', None)), fields=['brand', '-id'], name='group_code_newest'), models.Index(condition=models.Q(('due_at__isnull', False)), fields=['brand', 'due_at'], name='group_code_due')],
                'constraints': [models.UniqueConstraint(fields=('brand', 'state'), name='group_code_state')],
            },
        ),
        migrations.AddIndex(
            model_name='groupmember',
            index=models.Index(condition=models.Q(('state', ''), _negated=True), fields=['brand', 'state'], name='group_member_state'),
        ),
    ]
