from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0016_brand_hold_out")]

    operations = [
        migrations.AddIndex(
            model_name="sendtask",
            index=models.Index(
                condition=models.Q(("msgid", ""), _negated=True),
                fields=["brand", "msgid"],
                name="send_task_msgid",
            ),
        ),
    ]
