from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0030_left_sop'),
    ]

    operations = [
        migrations.AlterField(
            model_name='soprequest',
            name='kind',
            field=models.CharField(choices=[('on', 'Switch on'), ('change', 'Other steps'), ('version', 'New version'), ('priority', 'Other priority'), ('people', 'A list of people')], max_length=8),
        ),
    ]
