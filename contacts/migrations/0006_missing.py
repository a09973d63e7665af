from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('contacts', '0005_stats'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='follow',
            name='synced_in',
        ),
        migrations.AddField(
            model_name='follow',
            name='missing_in',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name='follow',
            index=models.Index(condition=models.Q(('missing_in__isnull', False)), fields=['brand', 'missing_in'], name='follow_missing'),
        ),
    ]
