from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0021_node_trouble'),
    ]

    operations = [
        migrations.AddField(
            model_name='broadcast',
            name='created_by_user_id',
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='broadcast',
            name='launched_by_user_id',
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='moment',
            name='created_by_user_id',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='moment',
            name='launched_by',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name='moment',
            name='launched_by_user_id',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='moment',
            name='state',
            field=models.CharField(choices=[('draft', 'Draft'), ('approval', 'Waits for approval'), ('planned', 'Planned'), ('calling', 'Being handed over'), ('running', 'WeCom prepares it'), ('out', 'With the guides'), ('done', 'Finished'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='draft', max_length=9),
        ),
        migrations.AlterField(
            model_name='touchpolicy',
            name='guide_tasks_a_day',
            field=models.IntegerField(blank=True, null=True, verbose_name='Warn when a guide gets more send tasks a day than'),
        ),
        migrations.AlterField(
            model_name='touchpolicy',
            name='needs_approval',
            field=models.BooleanField(default=False, verbose_name="Broadcasts and moments need a second person's approval"),
        ),
    ]
