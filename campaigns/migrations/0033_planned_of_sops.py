from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0032_task_later'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='sendtask',
            index=models.Index(condition=models.Q(('sop__isnull', False), ('state', 'planned')), fields=['brand', 'sop', 'at'], name='send_task_planned'),
        ),
    ]
