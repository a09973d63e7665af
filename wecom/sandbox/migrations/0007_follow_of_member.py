from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sandbox", "0006_app_chats_robots")]

    operations = [
        migrations.AddIndex(
            model_name="follow",
            index=models.Index(fields=["corpid", "userid", "external_userid"], name="follow_of_member"),
        ),
    ]
